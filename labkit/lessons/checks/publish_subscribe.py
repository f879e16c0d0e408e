"""The checks of lesson 01: who gets which events, and what a queue keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from aiormq.exceptions import ChannelNotFoundEntity

from labkit.brokers import TITLES
from labkit.brokers.subscription import Subscription
from labkit.lessons.checks.words import NOT_A_QUEUE, listed
from labkit.lessons.exercise import Check, Finding

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

ANSWER_SECONDS = 5.0
PAID = ("order.paid.eu", "order.paid.us.gift")
NOT_PAID = ("order.created.eu", "order.shipped.us.gift")
EUROPE = ("orders.eu.created", "orders.eu.paid.card")
ELSEWHERE = ("orders.us.created", "orders.us.eu.paid")


async def check_bookkeeping(lab: Lab, queue: Any) -> Finding:
    """Publish paid and other orders while nobody reads, kill the broker, and look into the queue."""
    if getattr(queue, "kind", None) != "queue":
        return Finding(False, NOT_A_QUEUE)
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


CHECKS: Mapping[str, Check] = MappingProxyType({"bookkeeping": check_bookkeeping, "europe": check_europe})
