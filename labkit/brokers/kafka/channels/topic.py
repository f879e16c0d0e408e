"""Kafka's topics: a log that keeps what was published, and readers that each keep their place in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import ConsumerStoppedError, KafkaError  # type: ignore[import-untyped]
from aiokafka.structs import ConsumerRecord, RecordMetadata  # type: ignore[import-untyped]

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS, was_cancelled
from labkit.brokers.delivery import Delivery
from labkit.brokers.kafka.errors import asking
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError, PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.kafka.client import KafkaClient

__all__ = ["Start", "Topic", "TopicSubscription", "stop_consumer"]

Start = Literal["earliest", "latest"]

COMMIT_SECONDS = 1.0
"""How often a subscriber stores its place while messages flow."""


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
        publisher: str = "shop",
    ) -> RecordMetadata:
        """Append one message, wait until the broker has it, and return where: partition and offset.

        Messages with the same ``key`` keep their order. Raises ``PublishFailed`` if there is no answer within
        5 seconds; then nobody knows whether it is in the log.
        """
        message = Message(encode(value), self.name, key=key, headers=headers)
        meters = self.meters(publisher)
        send = self._send(message)
        return await send if meters is None else await self._observed(send, message, meters)

    async def _send(self, message: Message) -> RecordMetadata:
        key = message.key.encode() if message.key is not None else None
        headers = [(name, value.encode()) for name, value in (message.headers or {}).items()]
        what = f"Kafka did not confirm {len(message.data)} bytes for {self.name}"
        async with asking(what, "check that the broker runs, then publish again", PublishFailed):
            return await self.client.native.send_and_wait(self.name, message.data, key=key, headers=headers)

    async def end_offset(self) -> int:
        """Return the offset the next message will get, summed over partitions: how many there ever were."""
        return sum((await self.client.end_offsets(self.name, self.partitions)).values())

    async def depth(self) -> int:
        """Return ``end_offset()``. A log keeps what was read, so this only grows."""
        return await self.end_offset()

    async def delete(self) -> None:
        """Remove the topic with everything in it."""
        await self.client.delete_topic(self.name)

    def subscribe(self, name: str, *, start: Start = "latest", group: str | None = None) -> TopicSubscription:
        """Return a subscriber called ``name``, not yet open, in a consumer group of its own.

        A group that has stored its place goes on there. One that has not begins at ``start``: with the next
        message, or with the earliest one kept. Subscribers of the same ``group`` share the messages.
        """
        return TopicSubscription(self, name, start, group or name)

    def _facts(self) -> dict[str, int]:
        return {"partitions": self.partitions}


class TopicSubscription(Subscription[Delivery]):
    """One subscriber of a topic.

    It stores its place about once a second and when it closes: a message counts as done when the next one is
    asked for, never when the handler raised. After a crash it therefore reads a little again.
    """

    channel: Topic
    _native: AIOKafkaConsumer

    def __init__(self, topic: Topic, name: str, start: Start, group: str) -> None:
        super().__init__(topic, name)
        self.start = start
        self.group = group
        self._handed_out: ConsumerRecord | None = None
        self._done: dict[TopicPartition, int] = {}
        self._commit_at = 0.0

    async def _subscribe(self) -> None:
        self._native = AIOKafkaConsumer(
            self.channel.name,
            bootstrap_servers=self.channel.client.bootstrap,
            client_id=self.name,
            group_id=self.group,
            auto_offset_reset=self.start,
            enable_auto_commit=False,
            request_timeout_ms=int(CALL_SECONDS * 1000),
            metadata_max_age_ms=10_000,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=100,
        )
        what = f"Kafka did not register {self.name} on {self.channel.name!r}"
        try:
            async with asking(what, "check that the topic still exists and the broker runs"):
                await self._native.start()
                await self._take_place()
        except BaseException:
            await stop_consumer(self._native)
            raise

    async def _take_place(self) -> None:
        """Find where to begin, and store it: from then on no rebalance moves this group past a message."""
        places = {place: await self._native.position(place) for place in self._native.assignment()}
        if places:
            await self._native.commit(places)

    async def _next(self) -> Delivery | None:
        await self._finish_last()
        try:
            record = await self._native.getone()
        except ConsumerStoppedError:
            return None
        except KafkaError as error:
            raise BrokerError(
                f"Kafka stopped handing messages of {self.channel.name!r} to {self.name}: {error!r}.",
                broker="kafka",
                remedy="open a new subscription",
            ) from error
        self._handed_out = record
        return Delivery(record, _read)

    async def _finish_last(self) -> None:
        record, self._handed_out = self._handed_out, None
        if record is None:
            return
        self._done[TopicPartition(record.topic, record.partition)] = record.offset + 1
        if time.monotonic() >= self._commit_at:
            await self._commit()

    async def _commit(self) -> None:
        self._commit_at = time.monotonic() + COMMIT_SECONDS
        done, self._done = self._done, {}
        with suppress(KafkaError, TimeoutError):  # a place that is not stored is read again, never lost
            async with asyncio.timeout(CALL_SECONDS):
                await self._native.commit(done)

    async def _unsubscribe(self) -> None:
        if self.error is None:
            self._commit_at = float("inf")
            await self._finish_last()
        if self._done:
            await self._commit()
        await stop_consumer(self._native)


async def stop_consumer(native: AIOKafkaConsumer) -> None:
    """Stop a consumer and close its connections, whatever the broker does."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await native.stop()
    except TimeoutError:
        await native._client.close()  # a dead broker cannot be told that we leave; it finds out
    except asyncio.CancelledError:
        if was_cancelled():
            raise
        # aiokafka 0.14 awaits the fetches it cancels: one that is about to try again ends its stop halfway.
        await native._client.close()


def _read(native: ConsumerRecord) -> Message:
    headers = {name: value.decode() for name, value in native.headers} or None
    key = native.key.decode() if native.key is not None else None
    return Message(native.value or b"", native.topic, key=key, headers=headers, native=native)
