"""The event log on NATS."""

from __future__ import annotations

from typing import Any, Self

from nats.js.api import SubjectTransform

from labkit.brokers.channel import Channel
from labkit.brokers.nats.channels.consumer import Consumer
from labkit.brokers.nats.channels.stream import Stream
from labkit.brokers.nats.channels.stream_delivery import StoredDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.subscription import Subscription
from labkit.patterns.event_stream.log import Event, EventLog

__all__ = ["NatsLog"]

ACK_SECONDS = 2.0
"""How long JetStream waits for an acknowledgement until it hands an event out again. Work takes less here."""


class NatsLog(EventLog[NatsClient]):
    """NATS: a JetStream stream. The subject is the key, and the server maps it to a partition.

    Every event has one number in the whole stream; a partition is only a part that one worker reads.
    """

    native = "JetStream stream, a subject for each key, subject transform, durable consumers, max per subject"

    stream: Stream

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
