"""The checks of lesson 02: a message that nobody can work on, and one whose worker died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aiormq.exceptions import ChannelNotFoundEntity

from labkit.brokers.redis.channels.group import Group
from labkit.lessons.checks.words import NOT_A_QUEUE
from labkit.lessons.exercise import Check, Finding

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

DEAD_LETTER_SECONDS = 30.0
ATTEMPTS = 10
"""How often a refund is given back before the check gives up."""


async def check_refunds(lab: Lab, queue: Any) -> Finding:
    """Give a refund back whenever it comes, and ask RabbitMQ where it ends."""
    if getattr(queue, "kind", None) != "queue":
        return Finding(False, NOT_A_QUEUE)
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


CHECKS: Mapping[str, Check] = MappingProxyType({"refunds": check_refunds, "parcels": check_parcels})
