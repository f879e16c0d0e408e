"""The event log on Redis."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from redis.exceptions import RedisError

from labkit.brokers.channel import Channel
from labkit.brokers.redis.channels.group import Group
from labkit.brokers.redis.channels.stream import EntryDelivery, Stream
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.patterns.event_stream.log import READ_SECONDS, Event, EventLog, partition_for

__all__ = ["RedisLog"]


class RedisLog(EventLog[RedisClient]):
    """Redis: a stream for each partition. An entry's id is its time, and a group is a reader's place."""

    native = "streams, ids that are times, a consumer group for each reader"
    built = "partitions (a stream each, chosen by a hash of the key)"
    no_compaction = "A Redis stream knows no keys: it is trimmed by length (MAXLEN) or by id (MINID)."

    streams: list[Stream]

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

    async def _group(self, reader: str, stream: Stream) -> Group:
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
