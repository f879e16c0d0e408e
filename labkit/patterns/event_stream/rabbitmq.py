"""The event log on RabbitMQ, over AMQP."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from labkit.brokers.channel import Channel
from labkit.brokers.rabbitmq.channels.exchange import Exchange
from labkit.brokers.rabbitmq.channels.queue import Queue
from labkit.brokers.rabbitmq.channels.stream import Stream, StreamDelivery
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError, NoAnswer
from labkit.message import decode
from labkit.patterns.event_stream.log import READ_SECONDS, Event, EventLog, partition_for

__all__ = ["RabbitmqLog"]

log = logging.getLogger("labkit")

LOOKS = 5
LOOK_SECONDS = 0.02
"""A queue of length one is empty for a moment while somebody else looks into it: then we look again."""


class RabbitmqLog(EventLog[RabbitmqClient]):
    """RabbitMQ: a stream for each partition, behind an exchange.

    Over AMQP a stream does not tell where it ends, and keeps no reader's place. Both are kept in queues of
    length one: the exchange copies each event there too, and a reader puts its place into another.
    """

    native = "streams behind an exchange, offset first, offset as a time"
    built = "places and the end (queues of length one), exact times, keys and partitions"
    no_compaction = "A RabbitMQ stream knows no keys: it drops whole segments, by size or by age."

    exchange: Exchange
    streams: list[Stream]
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
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._read_to(newest.header.properties.message_id, partition, start)
        except TimeoutError as error:
            raise NoAnswer(
                f"The newest event of {self.streams[partition].name!r} was not in the stream.",
                broker=self.broker,
                remedy="append another: this one was cut off by a crash, and confirmed to nobody",
            ) from error

    async def _read_to(self, newest: str, partition: int, start: Any) -> list[Event]:
        events: list[Event] = []
        async with self.streams[partition].subscribe("replay", start=start) as deliveries:
            async for delivery in deliveries:
                events.append(self.event_in(delivery))
                if delivery.native.message_id == newest:
                    break
        return events

    async def _look_into(self, queue: Queue) -> Any:
        """Return the message in a queue of length one, and leave it there; None if there is none."""
        for _ in range(LOOKS):
            channel = await self.client.plain_channel()
            found = await channel.basic_get(queue.name)
            await channel.close()  # what was got and not acknowledged is put back
            if found.delivery_tag is not None:
                return found
            await asyncio.sleep(LOOK_SECONDS)
        return None

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
