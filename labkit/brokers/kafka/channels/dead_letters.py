"""Dead letters by convention: Kafka has no place for what nobody can work on, so a second topic is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition  # type: ignore[import-untyped]

from labkit.events import Kind

if TYPE_CHECKING:
    from labkit.brokers.kafka.channels.delivery import TopicDelivery
    from labkit.brokers.kafka.channels.subscription import TopicSubscription
    from labkit.brokers.kafka.channels.topic import Topic

__all__ = ["DeadLetters"]


class DeadLetters:
    """The recipe: count how often a message was given back; then publish it elsewhere, and commit past it.

    The count is this subscriber's own. After a rebalance or a restart it begins anew.
    """

    def __init__(self, subscription: TopicSubscription, topic: Topic, attempts: int) -> None:
        self.topic = topic
        self.attempts = attempts
        self._subscription = subscription
        self._given_back: dict[TopicPartition, tuple[int, int]] = {}
        self._meter = subscription.channel.client.meter(
            Kind.DEAD_LETTERED, subscription.channel.name, subscription.name
        )

    def is_enough(self, delivery: TopicDelivery) -> bool:
        """Count that this was given back once more; return whether it was so often enough."""
        offset, times = self._given_back.get(delivery.place, (delivery.offset, 0))
        times = times + 1 if offset == delivery.offset else 1
        self._given_back[delivery.place] = (delivery.offset, times)
        return times >= self.attempts

    async def take(self, delivery: TopicDelivery, reason: str) -> None:
        """Publish it with where it came from and why, then commit: in this order nothing is lost."""
        self._subscription.require_current(delivery)
        origin = {
            "origin-topic": delivery.place.topic,
            "origin-partition": str(delivery.partition),
            "origin-offset": str(delivery.offset),
            "reason": reason,
        }
        message = delivery.message
        headers = {**(message.headers or {}), **origin}
        await self.topic.publish(
            message.data, key=message.key, headers=headers, publisher=self._subscription.name
        )
        if self._meter is not None:
            self._meter(message)
        await self._subscription.commit(delivery)
