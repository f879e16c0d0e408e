"""What the tests of RabbitMQ share."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support import until_told

__all__ = ["LAST", "depth_becomes", "take", "values_until_last"]

LAST = "last"
"""Published at the end: when it has arrived, all that will arrive has."""


async def take(subscription: Any, count: int) -> list[Any]:
    """Return the next deliveries, not settled."""
    async with asyncio.timeout(30):
        return [await anext(subscription) for _ in range(count)]


async def values_until_last(subscription: Any) -> list[Any]:
    """Open a subscription, acknowledge everything up to ``LAST``, close it, and return what came before."""
    values: list[Any] = []
    async with asyncio.timeout(30), subscription:
        while (delivery := await anext(subscription)).value != LAST:
            values.append(delivery.value)
            if hasattr(delivery, "ack"):
                await delivery.ack()
        if hasattr(delivery, "ack"):
            await delivery.ack()
    return values


async def depth_becomes(queue: Any, messages: int) -> None:
    """Wait until so many messages wait in the queue."""
    await until_told(queue.depth, lambda depth: depth == messages)
