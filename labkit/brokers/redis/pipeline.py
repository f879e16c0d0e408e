"""Many messages under way at once: commands are written in batches, and answered in the same order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.pipeline import Pipeline
from labkit.brokers.redis.errors import not_published, source, was_cut_off
from labkit.errors import PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.channels.pubsub import PubSubChannel
    from labkit.brokers.redis.channels.stream import Stream
    from labkit.brokers.redis.client import RedisClient

__all__ = ["ChannelPipeline", "ListPipeline", "RedisPipeline", "StreamPipeline"]

BATCH = 250
"""Messages written in one go. More would gain nothing, and keep everybody else waiting."""

Waiting = tuple[tuple[Any, ...], int, Message | None]
"""One message on its way: its command, the bytes in its payload, itself if somebody wants to know."""


class RedisPipeline(Pipeline):
    """Writes what waits in one go, on one of the pool's connections, and then reads the answers."""

    def __init__(self, channel: Channel, publisher: str, window: int) -> None:
        super().__init__(channel.meters(publisher), window)
        self._client: RedisClient = channel.client  # type: ignore[assignment]
        self._name = channel.name
        self._waiting: deque[Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def _hand_over(self, command: tuple[Any, ...], size: int, message: Message | None) -> None:
        if self.unanswered >= self.window:
            await self.room()
        self._client.require_open()
        if message is not None and self._meters is not None:
            self._meters.sent(message)
        self.unanswered += 1
        self._waiting.append((command, size, message))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name=f"pipeline to {self._name}")

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                few = min(len(self._waiting), BATCH)
                await self._send(deque(self._waiting.popleft() for _ in range(few)))
        finally:
            self._sender = None

    async def _send(self, batch: deque[Waiting]) -> None:
        """Send these, and take their answers; ``batch`` holds those that have none yet."""
        try:
            pool = self._client.connections
            connection = await pool.get_connection()
            try:
                await self._exchange(connection, batch)
            finally:
                await pool.release(connection)
        except (RedisError, OSError) as error:
            await self._give_up(batch, error)
        except BaseException as error:  # nobody may wait for ever for an answer that nobody reads
            await self._give_up(batch, ConnectionError(f"given up: {error!r}"))
            raise

    async def _exchange(self, connection: AbstractConnection, batch: deque[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CALL_SECONDS) as deadline:
            await connection.send_packed_command(connection.pack_commands([one[0] for one in batch]))
            while batch:
                deadline.reschedule(loop.time() + CALL_SECONDS)
                try:
                    reply = await connection.read_response()
                    failure = None
                except ResponseError as error:
                    reply, failure = None, self._not_published(error, batch[0][1])
                message = batch.popleft()[2]
                self._settle(message, failure)
                if message is not None and failure is None:
                    self._heard(message, reply)

    def _heard(self, message: Message, reply: Any) -> None:
        """Look at what Redis answered."""

    async def _give_up(self, batch: deque[Waiting], error: Exception) -> None:
        limit = None
        if any(was_cut_off(error, size) for _, size, _ in batch):
            limit = await self._client.largest_value()
        while batch:
            _, size, message = batch.popleft()
            self._settle(message, self._not_published(error, size, limit))

    def _not_published(self, error: Exception, size: int, limit: int | None = None) -> PublishFailed:
        failure = not_published(error, self._name, size, limit)
        failure.__cause__ = source(error)
        return failure


class StreamPipeline(RedisPipeline):
    """Many entries for a stream."""

    def __init__(self, stream: Stream, publisher: str, window: int) -> None:
        super().__init__(stream, publisher, window)
        self._stream = stream

    async def publish(
        self, value: object, *, headers: Mapping[str, str] | None = None, key: str | None = None
    ) -> None:
        """Hand over one entry; returns before Redis has it. Waits while ``window`` are unanswered."""
        data = encode(value)
        message = Message(data, self._name, key, headers) if self._meters is not None else None
        await self._hand_over(self._stream.command(data, headers, key), len(data), message)


class ListPipeline(RedisPipeline):
    """Many elements for a list."""

    async def publish(self, value: object) -> None:
        """Hand over one element; returns before Redis has it. Waits while ``window`` are unanswered."""
        data = encode(value)
        message = Message(data, self._name) if self._meters is not None else None
        await self._hand_over(("LPUSH", self._name, data), len(data), message)


class ChannelPipeline(RedisPipeline):
    """Many messages for a Pub/Sub channel."""

    def __init__(self, channel: PubSubChannel, publisher: str, window: int) -> None:
        super().__init__(channel, publisher, window)

    async def publish(self, value: object) -> None:
        """Hand over one message; returns before Redis has it. Waits while ``window`` are unanswered."""
        data = encode(value)
        message = Message(data, self._name) if self._meters is not None else None
        await self._hand_over(("PUBLISH", self._name, data), len(data), message)

    def _heard(self, message: Message, reply: Any) -> None:
        if not reply and self._meters is not None:
            self._meters.unheard(message)
