"""The checks of all exercises. Each asks the brokers what they hold; none reads what a cell printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from aiormq.exceptions import ChannelNotFoundEntity

from labkit.brokers import TITLES
from labkit.brokers.redis.channels.group import Group
from labkit.brokers.subscription import Subscription
from labkit.lessons.exercise import Check, Finding

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS", "check_bookkeeping", "check_europe", "check_parcels", "check_refunds", "listed"]

ANSWER_SECONDS = 5.0
DEAD_LETTER_SECONDS = 30.0
PAID = ("order.paid.eu", "order.paid.us.gift")
NOT_PAID = ("order.created.eu", "order.shipped.us.gift")
EUROPE = ("orders.eu.created", "orders.eu.paid.card")
ATTEMPTS = 10
"""How often a refund is given back before the check gives up."""
ELSEWHERE = ("orders.us.created", "orders.us.eu.paid")


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence: `` `a`, `b` and `c` ``, or "nothing"."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return quoted[0] if quoted else "nothing"
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


async def check_bookkeeping(lab: Lab, queue: Any) -> Finding:
    """Publish paid and other orders while nobody reads, kill the broker, and look into the queue."""
    if getattr(queue, "kind", None) != "queue":
        return Finding(False, "Return the queue itself, as `await lab.rabbitmq.queue(...)` gives it.")
    async with queue.subscribe("bookkeeping"):
        pass  # bookkeeping was open, and closes; an exclusive queue goes with its reader
    events = await lab.rabbitmq.exchange("events", "topic")
    for key in (*PAID, *NOT_PAID):
        await events.publish({"order": 1}, key, publisher="check")
    await lab.kill("rabbitmq")
    await lab.restart("rabbitmq")
    held = await _take_keys(lab, queue.name)
    if held is None:
        return Finding(False, "The reader left and the broker crashed. RabbitMQ has no such queue any more.")
    await queue.delete()  # so that the next try starts without this one's bindings
    told = f"The reader left and the broker crashed. The queue now holds {listed(held)}."
    if sorted(held) == sorted(PAID):
        return Finding(True, told)
    return Finding(False, f"{told} It should hold {listed(PAID)}.")


async def _take_keys(lab: Lab, queue: str) -> list[str] | None:
    """Take every message out of a queue; return their routing keys, or None if there is no such queue."""
    channel = await lab.rabbitmq.plain_channel()
    try:
        await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    keys = []
    while (message := await channel.basic_get(queue, no_ack=True)).routing_key is not None:
        keys.append(message.routing_key)
    await channel.close()
    return keys


async def check_europe(lab: Lab, subscriptions: Any) -> Finding:
    """Open the learner's subscriptions, and ask NATS and Redis whom they would hand each event to."""
    if not isinstance(subscriptions, list) or not all(isinstance(one, Subscription) for one in subscriptions):
        return Finding(False, "Return a list of two subscriptions, not yet open.")
    asked = (*EUROPE, *ELSEWHERE)
    nobody = [await _receivers(lab, name) for name in asked]
    async with AsyncExitStack() as stack:
        for subscription in subscriptions:
            await stack.enter_async_context(subscription)
        subjects = {one.channel.name for one in subscriptions if one.channel.broker == "nats"}
        hears = {
            "nats": [name for name in asked if subjects & await _matching_subjects(lab, name)],
            "redis": [
                name
                for name, before in zip(asked, nobody, strict=True)
                if await _receivers(lab, name) > before
            ],
        }
    told = " ".join(f"{TITLES[broker]} hands it {listed(names)}." for broker, names in hears.items())
    if all(names == list(EUROPE) for names in hears.values()):
        return Finding(True, told)
    return Finding(False, f"{told} Wanted from each: {listed(EUROPE)}.")


async def _matching_subjects(lab: Lab, subject: str) -> set[str]:
    """Ask NATS which of its subscriptions fit a subject."""
    port = lab.servers["nats"].ports["monitor"]
    query = urlencode({"subs": 1, "test": subject})
    told = await asyncio.to_thread(_read_json, f"http://127.0.0.1:{port}/subsz?{query}")
    return {one["subject"] for one in told.get("subscriptions_list", [])}


def _read_json(url: str) -> Any:
    with urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


async def _receivers(lab: Lab, channel: str) -> int:
    """Publish on a Redis channel, and return how many subscribers Redis passed it to."""
    return await lab.redis.channel(channel).publish({"order": 1}, publisher="check")


async def check_refunds(lab: Lab, queue: Any) -> Finding:
    """Give a refund back whenever it comes, and ask RabbitMQ where it ends."""
    if getattr(queue, "kind", None) != "queue":
        return Finding(False, "Return the queue itself, as `await lab.rabbitmq.queue(...)` gives it.")
    await lab.rabbitmq.restored()
    given_back: list[int] = []

    async def give_back(delivery: Any) -> None:
        given_back.append(1)
        await (delivery.nack() if len(given_back) < ATTEMPTS else delivery.ack())

    async with queue.subscribe("check") as deliveries:
        deliveries.run(give_back)
        await queue.publish({"refund": 1}, publisher="check")
        aside = await _until_aside(lab, queue.name, lambda: len(given_back) >= ATTEMPTS)
    await queue.delete()
    if queue.dead_letters is not None:
        await queue.dead_letters.delete()
    times = f"A refund that nobody can work on was handed out {len(given_back)} times"
    if aside and len(given_back) <= 4:
        return Finding(True, f"{times}, and now lies in `{queue.name}.dlq`.")
    if aside:
        return Finding(False, f"{times} before it was put aside.")
    return Finding(False, f"{times}, and there was no end to it: `{queue.name}.dlq` has nothing.")


async def _until_aside(lab: Lab, queue: str, is_enough: Callable[[], bool]) -> int:
    """Wait until something lies in a queue's dead letters, or it is enough; return how much lies there."""
    async with asyncio.timeout(DEAD_LETTER_SECONDS):
        while True:
            enough = is_enough()
            aside = await _depth(lab, f"{queue}.dlq")
            if aside or enough:
                return aside
            await asyncio.sleep(0.02)


async def _depth(lab: Lab, queue: str) -> int:
    """Ask RabbitMQ how many messages lie in a queue, 0 if there is no such queue."""
    channel = await lab.rabbitmq.plain_channel()
    try:
        answer = await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return 0
    await channel.close()
    return answer.message_count or 0


async def check_parcels(lab: Lab, group: Any) -> Finding:
    """Ask Redis who has what pending of the parcels, and what it remembers of the dead worker."""
    if not isinstance(group, Group):
        return Finding(False, "Return the group, as `await parcels.group(...)` gives it.")
    workers = {
        one["name"].decode(): one["pending"]
        for one in await lab.redis.native.xinfo_consumers(group.stream.name, group.name)
    }
    if "packer-1" not in workers:
        return Finding(False, "Redis forgot packer-1, and with it the parcels it had: nobody gets them now.")
    told = f"packer-1 still has {workers['packer-1']} parcels pending"
    if workers["packer-1"]:
        return Finding(False, f"{told}.")
    if sum(workers.values()):
        return Finding(False, f"{told}, but somebody took them and is not done: acknowledge each.")
    if len(workers) < 2:
        return Finding(False, f"{told}, but nobody else is in the group: who packed them?")
    return Finding(True, f"{told}, and nobody else has any: all were taken over and done.")


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "bookkeeping": check_bookkeeping,
        "europe": check_europe,
        "refunds": check_refunds,
        "parcels": check_parcels,
    }
)
