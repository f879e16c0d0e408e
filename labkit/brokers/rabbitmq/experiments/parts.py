"""What the experiments share."""

from __future__ import annotations

import asyncio
from typing import Any

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.rabbitmq.channels.any_queue import AnyQueue
from labkit.brokers.rabbitmq.channels.consuming import Consuming
from labkit.guarantees import Answer

__all__ = ["LAST", "found", "has", "read"]

LAST = "last"
"""Published at the end: when it has arrived, all that will arrive has."""

WAIT_SECONDS = 20.0
"""The longest an experiment waits. What it sees does not depend on it."""


def found(holds: bool) -> Answer:
    """Return yes if the broker did it, else no."""
    return Answer.YES if holds else Answer.NO


async def read(subscription: Consuming[Any], until: Any = LAST) -> list[Any]:
    """Read values, acknowledging each, up to and without the one that says it was the last."""
    values: list[Any] = []
    async with asyncio.timeout(WAIT_SECONDS), subscription:
        async for delivery in subscription:
            if isinstance(delivery, OpenDelivery):
                await delivery.ack()
            if delivery.value == until:
                break
            values.append(delivery.value)
    return values


async def has(queue: AnyQueue, messages: int) -> bool:
    """Return whether the queue comes to have so many messages waiting; RabbitMQ counts with some delay."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while await queue.depth() != messages:  # noqa: ASYNC110  # RabbitMQ tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True
