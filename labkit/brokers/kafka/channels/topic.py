"""Kafka's topics: a log that keeps what was published, and readers that each keep their place in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.structs import RecordMetadata  # type: ignore[import-untyped]

from labkit.brokers.channel import Channel
from labkit.brokers.kafka.channels.delivery import TopicDelivery
from labkit.brokers.kafka.channels.subscription import Commit, Isolation, Start, TopicSubscription
from labkit.brokers.kafka.offsets import Span, When
from labkit.brokers.kafka.producer import ProducerPipeline
from labkit.brokers.pipeline import WINDOW

if TYPE_CHECKING:
    from labkit.brokers.kafka.client import KafkaClient

__all__ = ["DEAD_LETTERS", "Topic", "TopicDelivery", "TopicSubscription"]

DEAD_LETTERS = ".dlq"
"""How the topic is called, by convention, that takes what nobody could work on: the topic's name and this."""


class Topic(Channel):
    """A Kafka topic. Messages stay until their retention is over, read or not."""

    kind = "topic"
    client: KafkaClient

    def __init__(self, client: KafkaClient, name: str, partitions: int) -> None:
        super().__init__(client, name)
        self.partitions = partitions

    async def publish(
        self,
        value: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
        timestamp: float | None = None,
        publisher: str = "shop",
    ) -> RecordMetadata:
        """Append one message, wait until the broker has it, and return where: partition and offset.

        Messages with the same ``key`` keep their order: they go to the same partition. ``timestamp`` is in
        seconds since 1970, now if None. Raises ``PublishRefused`` if the broker certainly does not have it,
        ``PublishInDoubt`` if there is no answer within 5 seconds; then nobody knows whether it is in the log.
        """
        return await self.client.own_producer.publish(
            self,
            value,
            key=key,
            headers=headers,
            partition=partition,
            timestamp=timestamp,
            publisher=publisher,
        )

    def pipeline(self, *, window: int = WINDOW, publisher: str = "shop") -> ProducerPipeline:
        """Return a way to publish many messages, confirmed all of them, without waiting for each.

        A producer with other settings has its own: ``producer.pipeline(topic)``.
        """
        return self.client.own_producer.pipeline(self, window=window, publisher=publisher)

    async def dead_letters(self) -> Topic:
        """Return the topic that takes what nobody could work on; it is created if it is not there."""
        return await self.client.topic(f"{self.name}{DEAD_LETTERS}", partitions=self.partitions)

    async def offsets(self) -> dict[int, Span]:
        """Return, for each partition, where it begins and ends: ``{0: Span(begin=0, end=17)}``."""
        return await self.client.onlooker.spans(self.name, range(self.partitions))

    async def offset_at(self, when: When) -> dict[int, int]:
        """Return, for each partition, the offset of the first message from this moment on, or its end.

        ``when`` is a ``datetime`` or seconds since 1970.
        """
        return await self.client.onlooker.at(when, self.name, range(self.partitions))

    async def end_offset(self) -> int:
        """Return the offset the next message will get, summed over partitions: how many there ever were."""
        return sum(span.end for span in (await self.offsets()).values())

    async def depth(self) -> int:
        """Return ``end_offset()``. A log keeps what was read, so this only grows."""
        return await self.end_offset()

    async def delete_before(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Delete what is before these offsets, by partition; return where each begins now."""
        return await self.client.admin.delete_records(self.name, offsets)

    async def delete(self) -> None:
        """Remove the topic with everything in it. Raises ``NotFound``."""
        await self.client.delete_topic(self.name)

    def subscribe(
        self,
        name: str,
        *,
        start: Start = "latest",
        group: str | None = None,
        commit: Commit = "auto",
        also: Sequence[Topic] = (),
        isolation: Isolation = "read_uncommitted",
        session_timeout: float = 10.0,
        heartbeat: float = 0.5,
        dead_letters: Topic | None = None,
        attempts: int = 3,
        native_options: Mapping[str, Any] | None = None,
    ) -> TopicSubscription:
        """Return a subscriber called ``name``, not yet open, in a consumer group of its own.

        A group that has stored its place goes on there. One that has not begins at ``start``: with the next
        message, or with the earliest one kept. Subscribers of the same ``group`` share the messages: each
        partition has one reader.

        With ``commit="manual"`` the place moves only when a delivery is acknowledged. ``also`` are more
        topics to read. ``isolation="read_committed"`` leaves out what transactions did not commit. A reader
        that is silent for ``session_timeout`` seconds is taken for dead; it is heard every ``heartbeat``
        seconds, and as often it learns that others joined or left. A delivery given back ``attempts`` times
        is put into ``dead_letters``. ``native_options`` go to aiokafka's consumer as they are.
        """
        options = {
            "auto_offset_reset": start,
            "isolation_level": isolation,
            "session_timeout_ms": round(session_timeout * 1000),
            "heartbeat_interval_ms": round(heartbeat * 1000),
            **(native_options or {}),
        }
        topics = [self.name, *(topic.name for topic in also)]
        subscription = TopicSubscription(self, name, group or name, commit, topics, options)
        if dead_letters is not None:
            subscription.put_aside_into(dead_letters, attempts)
        return subscription

    def _facts(self) -> dict[str, int]:
        return {"partitions": self.partitions}
