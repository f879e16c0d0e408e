"""Producers: how messages get into topics, with Kafka's own settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    NodeNotReadyError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import RecordMetadata  # type: ignore[import-untyped]

from labkit.brokers.channel import Channel, PublishMeters
from labkit.brokers.kafka.errors import NATIVE_ERRORS, publish_error
from labkit.brokers.kafka.kept import KeptProducer
from labkit.brokers.pipeline import WINDOW, Pipeline
from labkit.errors import PayloadError, PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.kafka.client import KafkaClient

__all__ = ["Acks", "Compression", "Producer", "ProducerPipeline", "hand_over"]

Acks = Literal["all", 1, 0]
Compression = Literal["gzip", "snappy", "lz4", "zstd"]
NativeHeaders = list[tuple[str, bytes]]


class Producer(KeptProducer):
    """Publishes to any topic. Make one with ``await client.producer(...)``; it closes with the client.

    ``acks`` is how many brokers must have a message before it counts as confirmed: all that are in sync, the
    leader only (1), or nobody (0): then nothing is ever confirmed, and what is lost is lost without a word.
    """

    def __init__(
        self, client: KafkaClient, acks: Acks, *, idempotent: bool, delivery_timeout: float, **options: Any
    ) -> None:
        super().__init__(client, delivery_timeout, acks=acks, enable_idempotence=idempotent, **options)
        self.acks = acks
        self.idempotent = idempotent
        self._channels: dict[str, Channel] = {}

    @property
    def confirms(self) -> bool:
        """Whether the broker answers each message."""
        return self.acks != 0

    async def publish(
        self,
        topic: str | Channel,
        value: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
        timestamp: float | None = None,
        publisher: str = "shop",
    ) -> RecordMetadata | None:
        """Append one message, wait until the broker confirms it, and return where: partition and offset.

        With ``acks=0`` it returns None once the message is handed to the network. Messages with the same
        ``key`` keep their order; ``partition`` overrules the key. ``timestamp`` is in seconds since 1970.
        Raises ``PublishRefused`` (also as ``NotFound`` or ``NotAllowed``) if the broker certainly does not
        have it, and ``PublishInDoubt`` if nobody knows, after at most ``delivery_timeout`` and a second.
        """
        channel = topic if isinstance(topic, Channel) else self._named(topic)
        self.client.require_open()
        data = encode(value)
        meters = channel.meters(publisher)
        if meters is None:
            return await self._send(channel.name, data, key, headers, partition, timestamp)
        message = Message(data, channel.name, key=key, headers=headers)
        send = self._send(channel.name, data, key, headers, partition, timestamp)
        return await channel._observed(send, message, self._counting(meters))

    def pipeline(
        self, topic: str | Channel, *, window: int = WINDOW, publisher: str = "shop"
    ) -> ProducerPipeline:
        """Return a way to publish many messages without waiting for each."""
        channel = topic if isinstance(topic, Channel) else self._named(topic)
        meters = channel.meters(publisher)
        return ProducerPipeline(self, channel.name, meters and self._counting(meters), window)

    async def _send(
        self,
        topic: str,
        data: bytes,
        key: str | None,
        headers: Mapping[str, str] | None,
        partition: int | None,
        timestamp: float | None,
    ) -> RecordMetadata | None:
        future = None
        try:
            async with asyncio.timeout(self.limit):
                native = self._native
                if native is None or not self._works(native):
                    native = await self.ready()
                future = await hand_over(native, topic, data, key, headers, partition, timestamp)
                return await future
        except NATIVE_ERRORS as error:
            if future is not None:
                await self.look_after(native)
            raise self.failure(error, topic, was_sent=future is not None) from error

    def failure(self, error: BaseException, topic: str, *, was_sent: bool) -> PublishFailed:
        """Return what a native error says about a message to this topic."""
        what = f"Kafka did not confirm a message to {topic!r}"
        return publish_error(error, what, was_sent=was_sent, seconds=self.limit)

    async def look_after(self, native: AIOKafkaProducer | None) -> None:
        """Give up a native producer that will not work again after a message of it failed.

        An idempotent one numbers its messages: one that failed is a gap, and all that follow are refused.
        """
        if native is not None and (self.idempotent or native._sender.sender_task.done()):
            await self.give_up(native)

    async def give_up_waiting(self) -> None:
        """End the wait for what is unanswered: those messages are in doubt now."""
        if self._native is not None:
            await self.give_up(self._native, RequestTimedOutError())

    def _counting(self, meters: PublishMeters) -> PublishMeters:
        return meters if self.confirms else meters._replace(confirmed=_ignore)

    def _named(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self.client, name)
        return channel

    def __repr__(self) -> str:
        idempotent = ", idempotent" if self.idempotent else ""
        return f"<kafka producer, acks {self.acks}{idempotent}>"


class ProducerPipeline(Pipeline):
    """Many messages to one topic under way at once; aiokafka sends them in batches.

    With ``acks=0`` nothing is confirmed: leaving it says only that all was handed to the network.
    """

    def __init__(self, producer: Producer, topic: str, meters: PublishMeters | None, window: int) -> None:
        super().__init__(meters, window)
        self.producer = producer
        self.topic = topic

    async def publish(
        self,
        value: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Hand over one message. Raises ``PublishRefused`` if that fails already."""
        if self.unanswered >= self.window:
            await self.room()
        producer = self.producer
        producer.client.require_open()
        data = value if type(value) is bytes else encode(value)
        message = None
        if self._meters is not None:
            message = Message(data, self.topic, key, headers)
            self._meters.sent(message)
        try:
            native = producer._native
            if native is None or not producer._works(native):
                native = await producer.ready()
            answer = await hand_over(native, self.topic, data, key, headers, partition, timestamp)
        except BaseException as error:
            if message is not None and self._meters is not None:
                self._meters.refused(message)
            if not isinstance(error, NATIVE_ERRORS):
                raise
            raise producer.failure(error, self.topic, was_sent=False) from error
        self._expect(answer, message)

    def _failure(self, answer: asyncio.Future[Any]) -> PublishFailed | None:
        error = answer.exception()
        if error is None:
            return None
        if self.producer.idempotent:
            self.producer.suspect()  # it numbers its messages: after one that failed, all are refused
        failure = self.producer.failure(error, self.topic, was_sent=True)
        failure.__cause__ = error
        return failure

    def _answered(self, *arguments: Any) -> None:
        super()._answered(*arguments)
        if self.producer.acks == 0:
            self.confirmed = 0

    async def _change(self) -> None:
        try:
            async with asyncio.timeout(self.producer.limit):
                await super()._change()
        except TimeoutError:
            await self.producer.give_up_waiting()


async def hand_over(
    native: AIOKafkaProducer,
    topic: str,
    data: bytes,
    key: str | None,
    headers: Mapping[str, str] | None,
    partition: int | None,
    timestamp: float | None,
) -> asyncio.Future[RecordMetadata]:
    """Give a message to a native producer, and return the future of the broker's answer.

    Raises aiokafka's errors if it is not taken, and ``PayloadError`` for a key or header that is no text.
    """
    if partition is not None and partition not in (native.client.cluster.partitions_for_topic(topic) or ()):
        await native.client.force_metadata_update()  # it may have been added a moment ago
    try:
        future: asyncio.Future[RecordMetadata] = await native.send(
            topic,
            data,
            None if key is None else _native_key(key),
            partition,
            None if timestamp is None else int(timestamp * 1000),
            None if headers is None else _native_headers(headers),
        )
    except UnknownTopicOrPartitionError:
        if not await native.client.force_metadata_update():
            raise NodeNotReadyError("nobody there to say whether there is such a topic") from None
        raise
    return future


def _native_key(key: str) -> bytes:
    """Return a key as Kafka carries it. Raises ``PayloadError`` unless it is text."""
    try:
        return key.encode()
    except AttributeError as error:
        raise _not_text("A key", key) from error


def _native_headers(headers: Mapping[str, str]) -> NativeHeaders:
    """Return headers as Kafka carries them. Raises ``PayloadError`` unless their values are text."""
    try:
        return [(name, value.encode()) for name, value in headers.items()]
    except AttributeError as error:
        raise _not_text("Each header", headers) from error


def _not_text(what: str, found: object) -> PayloadError:
    return PayloadError(
        f"{what} must be text, not {found!r}.", broker="kafka", remedy="convert it: `str(value)`"
    )


def _ignore(message: Message) -> None:
    """Nothing: where nobody confirms, nothing was confirmed."""
