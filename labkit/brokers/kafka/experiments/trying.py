"""What several experiments do: read some messages, or all that there are."""

from __future__ import annotations

from typing import Any

from labkit.brokers.kafka.channels.subscription import TopicSubscription
from labkit.brokers.kafka.channels.topic import Topic

__all__ = ["LAST", "read", "read_all", "take"]

LAST = "last"
"""Published at the end: when it has arrived, all that will arrive has."""


async def take(subscription: TopicSubscription, count: int) -> list[Any]:
    """Return the values of the next messages."""
    return [(await anext(subscription)).value for _ in range(count)]


async def read(subscription: TopicSubscription) -> list[Any]:
    """Return the values up to the last one."""
    values: list[Any] = []
    async for delivery in subscription:
        if delivery.value == LAST:
            break
        values.append(delivery.value)
    return values


async def read_all(topic: Topic, reader: str, **options: Any) -> list[Any]:
    """Publish the last message, and return what is in the topic before it, from the beginning."""
    await topic.publish(LAST)
    async with topic.subscribe(reader, start="earliest", **options) as subscription:
        return await read(subscription)
