"""What these tests do again and again: read some, or all."""

from __future__ import annotations

import asyncio
from typing import Any

from labkit.brokers.kafka.channels.subscription import TopicSubscription
from labkit.brokers.kafka.channels.topic import Topic
from tests.support import unique

__all__ = ["LAST", "read_all", "take"]

LAST = "last"
"""Published at the end: when it has arrived, all that will arrive has."""


async def take(subscription: TopicSubscription, count: int) -> list[Any]:
    """Return the values of the next messages."""
    async with asyncio.timeout(30):
        return [(await anext(subscription)).value for _ in range(count)]


async def read_all(topic: Topic, **options: Any) -> list[Any]:
    """Return what is in a topic, from the beginning."""
    await topic.publish(LAST)
    values: list[Any] = []
    async with topic.subscribe(unique("reader"), start="earliest", **options) as subscription:
        while LAST not in values:
            values += await take(subscription, 1)
    return values[:-1]
