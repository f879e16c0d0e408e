"""What several experiments do: take what comes, wait for the disk, say yes or no."""

from __future__ import annotations

import asyncio
from typing import Any

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.guarantees import Answer

__all__ = ["LAST", "keys_of", "moved", "on_disk", "order_of", "take", "take_all", "yes_if"]

LAST = -1
"""Sent at the end. Order is kept, so when it has arrived, all that will arrive has."""


def yes_if(condition: bool) -> Answer:
    """Return YES or NO."""
    return Answer.YES if condition else Answer.NO


def order_of(values: list[Any]) -> str:
    """Return whether numbers that were sent one after another came so, in words."""
    return "in order" if values == sorted(values) else "out of order"


async def take(subscription: Subscription[Any], count: int) -> list[Any]:
    """Return the next so many values, acknowledged where there is such a thing."""
    values: list[Any] = []
    while len(values) < count:
        delivery = await anext(subscription)
        if isinstance(delivery, OpenDelivery):
            await delivery.ack()
        values.append(delivery.value)
    return values


async def take_all(subscription: Subscription[Any]) -> list[Any]:
    """Return the values that come before ``LAST``."""
    values: list[Any] = []
    while (value := (await take(subscription, 1))[0]) != LAST:
        values.append(value)
    return values


async def on_disk(client: RedisClient) -> None:
    """Wait until what this client wrote is in the append-only file, which is within a second (everysec)."""
    await client.ask("Redis did not say that it wrote to its disk", "WAITAOF", 1, 0, 5000)


async def keys_of(client: RedisClient, name: str) -> int:
    """Return how many keys there are whose names begin so: whatever Redis may hold of a channel."""
    return len(await client.ask("Redis did not list its keys", "KEYS", f"{name}*"))


async def moved(delayed: Any) -> int:
    """Have ``move_due`` called until something was due, and return how much that was."""
    async with asyncio.timeout(10):
        while not (count := await delayed.move_due()):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)
    return int(count)
