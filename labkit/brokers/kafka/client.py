"""A connection to Kafka.

One producer that waits for the broker to have each message (acks=all). While the broker is away, ``publish``
waits for it, up to 5 seconds, then raises; a message that was sent but not answered may be in the log all the
same. The producer is not idempotent on purpose: aiokafka's idempotent one never gives up, so a publish to a
dead broker would hang for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS, CONNECT_SECONDS, BrokerClient, keep_log_quiet
from labkit.brokers.kafka.channels.topic import Topic, stop_consumer
from labkit.brokers.kafka.errors import asking
from labkit.errors import BrokerError, ConnectFailed
from labkit.events import Observer

__all__ = ["KafkaClient"]


class KafkaClient(BrokerClient):
    """One program's connections to a Kafka broker. Its URL is ``kafka://host:port``."""

    broker = "kafka"
    _native: AIOKafkaProducer | None = None

    def __init__(self, url: str, observer: Observer | None = None) -> None:
        super().__init__(url, observer)
        self.bootstrap = url.removeprefix("kafka://").rstrip("/")
        self._onlooker: AIOKafkaConsumer | None = None
        self._topics: dict[str, Topic] = {}

    @property
    def native(self) -> AIOKafkaProducer:
        """The producer of aiokafka. Raises ``ChannelClosed`` before it was opened."""
        if self._native is None:
            self.require_open()
        assert self._native is not None
        return self._native

    async def topic(
        self, name: str, *, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> Topic:
        """Create a topic, or find it, and return it. ``configs`` are Kafka's own (``retention.ms``).

        Raises ``BrokerError`` if Kafka does not create it, or if it exists with other partitions.
        """
        known = self._topics.get(name)
        if known is not None and known.partitions == partitions:
            return known
        async with asking(f"Kafka did not create the topic {name!r}", "check that the broker runs"):
            await self._create(NewTopic(name, partitions, 1, topic_configs=dict(configs or {})))
            found = len(await self.native.partitions_for(name))
        if found != partitions:
            raise BrokerError(
                f"The topic {name!r} exists with {found} partitions, not {partitions}.",
                broker=self.broker,
                remedy=f"ask for {found} partitions, or choose another name",
            )
        return self._topics.setdefault(name, Topic(self, name, partitions))

    async def delete_topic(self, name: str) -> None:
        """Remove a topic with everything in it."""
        self._topics.pop(name, None)
        async with asking(f"Kafka did not delete the topic {name!r}", "check that it exists"):
            admin = await self._admin()
            try:
                _raise_first((await admin.delete_topics([name])).topic_error_codes)
            finally:
                await admin.close()

    async def _create(self, topic: NewTopic) -> None:
        admin = await self._admin()
        try:
            with suppress(TopicAlreadyExistsError):
                _raise_first((await admin.create_topics([topic])).topic_errors)
        finally:
            await admin.close()

    async def _admin(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=_CALL_MS)
        try:
            await admin.start()
        except BaseException:
            await admin.close()
            raise
        return admin

    async def end_offsets(self, topic: str, partitions: int) -> dict[int, int]:
        """Return, for each partition, the offset that its next message will get."""
        wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
        async with asking(f"Kafka did not tell the end of {topic!r}", "check that the broker runs"):
            found = await (await self._look()).end_offsets(wanted)
        return {place.partition: offset for place, offset in found.items()}

    async def _look(self) -> AIOKafkaConsumer:
        """Return a consumer of nothing, kept to ask questions with."""
        if self._onlooker is None:
            onlooker = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, request_timeout_ms=_CALL_MS)
            try:
                await onlooker.start()
            except BaseException:
                await stop_consumer(onlooker)
                raise
            self._onlooker = onlooker
        return self._onlooker

    async def _connect(self) -> None:
        keep_log_quiet("aiokafka")
        native = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            client_id="broker-lab",
            acks="all",
            request_timeout_ms=_CALL_MS,
            metadata_max_age_ms=10_000,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await native.start()
        except (KafkaError, OSError, ValueError) as error:
            await native.stop()
            raise ConnectFailed(
                f"No Kafka broker answers at {self.bootstrap}: {error!r}.",
                broker=self.broker,
                remedy="check the address, and that the broker runs",
            ) from error
        self._native = native

    async def _disconnect(self) -> None:
        native, self._native = self.native, None
        onlooker, self._onlooker = self._onlooker, None
        with suppress(TimeoutError):  # what is not sent by then is given up
            async with asyncio.timeout(CALL_SECONDS + 1):
                await native.stop()
        if onlooker is not None:
            await stop_consumer(onlooker)


_CALL_MS = int(CALL_SECONDS * 1000)


def _raise_first(answers: list[tuple[object, ...]]) -> None:
    """Raise the first error among the answers: aiokafka's admin client only reports them."""
    for _name, code, *message in answers:
        error = for_code(code)
        if error is not NoError:
            raise error(*message)
