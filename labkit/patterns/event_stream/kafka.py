"""The event log on Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]

from labkit.brokers.channel import Channel
from labkit.brokers.kafka.channels.topic import Topic, TopicDelivery
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.consumer import stop_consumer
from labkit.brokers.kafka.errors import asking
from labkit.brokers.subscription import Subscription
from labkit.errors import NoAnswer
from labkit.message import decode
from labkit.patterns.event_stream.log import READ_SECONDS, Event, EventLog

__all__ = ["KafkaLog"]


class KafkaLog(EventLog[KafkaClient]):
    """Kafka: a topic. The key chooses the partition, and a consumer group is a reader's place."""

    native = "topic, partition by key, offset for a time, a consumer group for each reader, compaction"

    topic: Topic

    COMPACTION: Mapping[str, str] = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.001",
        "segment.ms": "100",  # the newest segment is never compacted; each append after this begins another
    }

    async def open(self) -> Self:
        configs = self.COMPACTION if self.compacted else None
        self.topic = await self.client.topic(self.name, partitions=self.partitions, configs=configs)
        return self

    async def append(self, key: str, value: object) -> None:
        await self.topic.publish(value, key=key)

    async def replay(self, since: float | None = None) -> list[Event]:
        spans = await self.topic.offsets()
        begins = {partition: span.begin for partition, span in spans.items()}
        if since is not None:
            begins = await self.topic.offset_at(since)
        async with self._consumer() as consumer:
            return [
                event
                for partition, span in spans.items()
                for event in await self._read(consumer, partition, begins[partition], span.end)
            ]

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(**self.client.address.options())  # in no group: it keeps no place
        try:
            async with asking(f"Kafka did not read {self.name!r} again", "check that the broker runs"):
                await consumer.start()
                yield consumer
        finally:
            await stop_consumer(consumer)

    async def _read(self, consumer: AIOKafkaConsumer, partition: int, begin: int, end: int) -> list[Event]:
        place = TopicPartition(self.name, partition)
        consumer.assign([place])
        consumer.seek(place, begin)
        records: list[ConsumerRecord] = []
        while await consumer.position(place) < end:
            for found in (await consumer.getmany(place, timeout_ms=500)).values():
                records += found
        return [_event(record) for record in records if record.offset < end]

    async def workers(self, reader: str) -> list[Subscription[Any]]:
        return [
            self.topic.subscribe(
                self.worker_name(reader, one),
                group=self._group(reader),
                start="earliest",
                commit="manual",
                heartbeat=0.1,
            )
            for one in range(self.partitions)
        ]

    async def shared_out(self, workers: list[Any]) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                while any(len(worker.assignment) != 1 for worker in workers):  # noqa: ASYNC110  # no event
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise NoAnswer(
                f"Kafka did not give each of {len(workers)} workers one partition of {self.name!r}.",
                broker=self.broker,
                remedy="check that nobody else reads under this name",
            ) from error

    def _group(self, reader: str) -> str:
        return f"{self.name}.{reader}"

    async def lag(self, reader: str) -> int:
        done = await self.client.admin.group_offsets(self._group(reader))
        ends = {partition: span.end for partition, span in (await self.topic.offsets()).items()}
        return sum(end - done.get(TopicPartition(self.name, one), 0) for one, end in ends.items())

    def event_in(self, delivery: TopicDelivery) -> Event:
        return _event(delivery.native)

    async def restored(self) -> None:
        """Return at once: Kafka's client waits by itself."""

    async def channel(self) -> Channel:
        return self.topic


def _event(record: ConsumerRecord) -> Event:
    at = record.timestamp / 1000
    return Event(record.key.decode(), decode(record.value), at, record.partition, record.offset)
