"""Event streaming: what happened is appended to a log, kept, and read again. Four recipes, side by side.

The story is the shop's stock ledger: every arrival, sale and return is an event, and how much is in stock is
a view of these events. What the four share is in ``event_log.py``, the story in ``stock_ledger.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]
from nats.js.api import SubjectTransform
from redis.exceptions import RedisError

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.kafka.channels.topic import Topic, TopicDelivery
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.consumer import stop_consumer
from labkit.brokers.kafka.errors import asking
from labkit.brokers.nats.channels.consumer import Consumer
from labkit.brokers.nats.channels.stream import Stream as NatsStream
from labkit.brokers.nats.channels.stream_delivery import StoredDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.rabbitmq.channels.exchange import Exchange
from labkit.brokers.rabbitmq.channels.queue import Queue
from labkit.brokers.rabbitmq.channels.stream import Stream as RabbitmqStream
from labkit.brokers.rabbitmq.channels.stream import StreamDelivery
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.redis.channels.group import Group
from labkit.brokers.redis.channels.stream import EntryDelivery
from labkit.brokers.redis.channels.stream import Stream as RedisStream
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError
from labkit.message import decode
from labkit.patterns.event_log import READ_SECONDS, Event, EventLog, partition_for

__all__ = ["RECIPES", "KafkaLog", "NatsLog", "RabbitmqLog", "RedisLog", "lanes_of", "open_logs"]

log = logging.getLogger("labkit")

ACK_SECONDS = 2.0
"""How long JetStream waits for an acknowledgement until it hands an event out again. Work takes less here."""


class NatsLog(EventLog[NatsClient]):
    """NATS: a JetStream stream. The subject is the key, and the server maps it to a partition.

    Every event has one number in the whole stream; a partition is only a part that one worker reads.
    """

    native = "JetStream stream, a subject for each key, subject transform, durable consumers, max per subject"

    stream: NatsStream

    async def open(self) -> Self:
        self.stream = await self.client.stream(
            self.name,
            subjects=[f"{self.name}.*"],
            subject_transform=SubjectTransform(
                src=f"{self.name}.*",
                dest=f"{self.name}.{{{{partition({self.partitions},1)}}}}.{{{{wildcard(1)}}}}",
            ),
            max_msgs_per_subject=1 if self.compacted else -1,
        )
        return self

    async def append(self, key: str, value: object) -> None:
        await self.stream.publish(value, subject=f"{self.name}.{key}")

    async def replay(self, since: float | None = None) -> list[Event]:
        return await self._read("", since)

    async def history(self, key: str, since: float | None = None) -> list[Event]:
        """Return what happened to one key, in order. The server looks it up by its subject."""
        return await self._read(f"{self.name}.*.{key}", since)

    async def _read(self, subject: str, since: float | None) -> list[Event]:
        async with self.stream.replay(from_time=since, filter=subject) as stored:
            return [self.event_in(delivery) async for delivery in stored]

    async def workers(self, reader: str) -> list[Subscription[Any]]:
        return [(await self._consumer(reader, one)).subscribe(batch=1) for one in range(self.partitions)]

    async def _consumer(self, reader: str, partition: int) -> Consumer:
        # One at a time: what comes again comes before what follows it.
        return await self.stream.consumer(
            self.worker_name(reader, partition),
            filter=f"{self.name}.{partition}.*",
            max_ack_pending=1,
            ack_wait=ACK_SECONDS,
        )

    async def lag(self, reader: str) -> int:
        infos = [await (await self._consumer(reader, one)).info() for one in range(self.partitions)]
        return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)

    def event_in(self, delivery: StoredDelivery) -> Event:
        _, partition, key = delivery.native.subject.split(".")
        return Event(key, delivery.value, delivery.timestamp, int(partition), delivery.sequence)

    async def restored(self) -> None:
        await self.client.restored()

    async def channel(self) -> Channel:
        return self.stream


class RabbitmqLog(EventLog[RabbitmqClient]):
    """RabbitMQ: a stream for each partition, behind an exchange.

    Over AMQP a stream does not tell where it ends, and keeps no reader's place. Both are kept in queues of
    length one: the exchange copies each event there too, and a reader puts its place into another.
    """

    native = "streams behind an exchange, offset first, offset as a time"
    built = "places and the end (queues of length one), exact times, keys and partitions"
    no_compaction = "A RabbitMQ stream knows no keys: it drops whole segments, by size or by age."

    exchange: Exchange
    streams: list[RabbitmqStream]
    newest: list[Queue]

    async def open(self) -> Self:
        self.exchange = await self.client.exchange(self.name, "direct")
        numbers = [str(one) for one in range(self.partitions)]
        self.streams = [await self.client.stream(f"{self.name}.{one}") for one in numbers]
        self.newest = [await self.client.queue(f"{self.name}.{one}.newest", max_length=1) for one in numbers]
        for number, stream, newest in zip(numbers, self.streams, self.newest, strict=True):
            await stream.bind(self.exchange, number)
            await newest.bind(self.exchange, number)
        return self

    async def append(self, key: str, value: object) -> None:
        partition = partition_for(key, self.partitions)
        headers = {"key": key, "partition": str(partition), "at": f"{time.time():.3f}"}
        await self.exchange.publish(
            value, str(partition), mandatory=True, message_id=uuid4().hex, headers=headers
        )

    async def replay(self, since: float | None = None) -> list[Event]:
        # A time begins with a whole chunk, at a full second: what comes too early is skipped.
        start = "first" if since is None else datetime.fromtimestamp(int(since), UTC)
        events = [event for one in range(self.partitions) for event in await self._read(one, start)]
        return [event for event in events if since is None or event.at >= since]

    async def _read(self, partition: int, start: Any) -> list[Event]:
        newest = await self._look_into(self.newest[partition])
        if newest is None or (isinstance(start, datetime) and _at(newest) < start.timestamp()):
            return []
        events: list[Event] = []
        async with self._reading(partition, start) as deliveries:
            async for delivery in deliveries:
                events.append(self.event_in(delivery))
                if delivery.native.message_id == newest.header.properties.message_id:
                    break
        return events

    @asynccontextmanager
    async def _reading(self, partition: int, start: Any) -> AsyncIterator[Subscription[StreamDelivery]]:
        async with asyncio.timeout(READ_SECONDS):
            async with self.streams[partition].subscribe("replay", start=start) as deliveries:
                yield deliveries

    async def _look_into(self, queue: Queue) -> Any:
        """Return the message in a queue of length one, and leave it there; None if there is none."""
        channel = await self.client.plain_channel()
        try:
            found = await channel.basic_get(queue.name)
            return None if found.delivery_tag is None else found
        finally:
            await channel.close()  # what was got and not acknowledged is put back

    async def workers(self, reader: str) -> list[Subscription[Any]]:
        return [
            stream.subscribe(self.worker_name(reader, one), start=await self._next_offset(reader, one))
            for one, stream in enumerate(self.streams)
        ]

    async def done_with(self, reader: str, delivery: StreamDelivery) -> None:
        place = await self._place(reader, self.event_in(delivery).partition)
        try:
            await place.publish({"offset": delivery.offset}, publisher=reader)
        except BrokerError as error:  # what is not stored is read again
            log.info("%s did not keep its place %d: %s", reader, delivery.offset, error)

    async def _place(self, reader: str, partition: int) -> Queue:
        return await self.client.queue(f"{self.name}.{partition}.place.{reader}", max_length=1)

    async def _next_offset(self, reader: str, partition: int) -> int:
        kept = await self._look_into(await self._place(reader, partition))
        return 0 if kept is None else decode(kept.body)["offset"] + 1

    async def lag(self, reader: str) -> int:
        """Return how many events the reader is not done with: they are counted, because nobody tells."""
        lag = 0
        for partition in range(self.partitions):
            begin = await self._next_offset(reader, partition)
            lag += sum(int(event.place) >= begin for event in await self._read(partition, "first"))
        return lag

    def event_in(self, delivery: StreamDelivery) -> Event:
        headers = delivery.native.headers
        return Event(
            headers["key"], delivery.value, float(headers["at"]), int(headers["partition"]), delivery.offset
        )

    async def restored(self) -> None:
        await self.client.restored()

    async def channel(self) -> Channel:
        return self.exchange


def _at(message: Any) -> float:
    return float(message.header.properties.headers["at"])


class RedisLog(EventLog[RedisClient]):
    """Redis: a stream for each partition. An entry's id is its time, and a group is a reader's place."""

    native = "streams, ids that are times, a consumer group for each reader"
    built = "partitions (a stream each, chosen by a hash of the key)"
    no_compaction = "A Redis stream knows no keys: it is trimmed by length (MAXLEN) or by id (MINID)."

    streams: list[RedisStream]

    async def open(self) -> Self:
        names = [self.name] if self.partitions == 1 else [f"{self.name}.{n}" for n in range(self.partitions)]
        self.streams = [self.client.stream(name) for name in names]
        return self

    async def append(self, key: str, value: object) -> None:
        stream = self.streams[partition_for(key, self.partitions)]
        await stream.publish(value, key=key)

    async def replay(self, since: float | None = None) -> list[Event]:
        first = "-" if since is None else str(round(since * 1000))
        return [self.event_in(entry) for stream in self.streams async for entry in stream.replay(first)]

    async def workers(self, reader: str) -> list[Subscription[Any]]:
        groups = [await self._group(reader, stream) for stream in self.streams]
        return [group.subscribe(self.worker_name(reader, one)) for one, group in enumerate(groups)]

    async def _group(self, reader: str, stream: RedisStream) -> Group:
        return await stream.group(reader, start="first")

    async def lag(self, reader: str) -> int:
        infos = [await (await self._group(reader, stream)).info() for stream in self.streams]
        return sum((info.lag or 0) + info.pending for info in infos)

    def event_in(self, delivery: EntryDelivery) -> Event:
        message = delivery.message
        partition = [stream.name for stream in self.streams].index(message.channel)
        return Event(message.key or "", message.value, delivery.timestamp, partition, delivery.id)

    async def restored(self) -> None:
        async with asyncio.timeout(READ_SECONDS):
            while not await self._answers():  # noqa: ASYNC110  # Redis tells nobody when it is back
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.native.ping())
        except (RedisError, OSError):
            await self.client.drop_idle_connections()
            return False

    async def channel(self) -> Channel:
        return self.streams[0]


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
        async with asyncio.timeout(READ_SECONDS):
            while any(len(worker.assignment) != 1 for worker in workers):  # noqa: ASYNC110  # no event for it
                await asyncio.sleep(0.02)

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


RECIPES: Mapping[str, type[EventLog[Any]]] = {
    "nats": NatsLog,
    "rabbitmq": RabbitmqLog,
    "redis": RedisLog,
    "kafka": KafkaLog,
}


async def open_logs(
    clients: Mapping[str, BrokerClient], name: str = "stock", partitions: int = 1, *, compacted: bool = False
) -> dict[str, EventLog[Any]]:
    """Return a log on each of these brokers, open, by name: ``await open_logs(lab.clients)``.

    Where brokers cannot compact, ``compacted`` leaves them out.
    """
    chosen = {broker: RECIPES[broker] for broker in clients if broker in RECIPES}
    return {
        broker: await recipe(clients[broker], name, partitions, compacted=compacted).open()
        for broker, recipe in chosen.items()
        if not (compacted and recipe.no_compaction)
    }


async def lanes_of(logs: Mapping[str, EventLog[Any]]) -> list[Any]:
    """Return a row for each broker, for the live picture: ``lab.flow(*await lanes_of(logs))``."""
    return [await one.lane() for one in logs.values()]
