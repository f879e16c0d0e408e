"""How Redis is reached without the lab: by redis-py, and by FastStream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from labkit.bench.cell import batches
from labkit.bench.kind import Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.pipeline import WINDOW

__all__ = [
    "RedisKind",
    "connect",
    "faststream",
    "faststream_consumer",
    "new_faststream",
    "on_stage",
    "our_pipeline",
    "raw_pipeline",
]


def connect(url: str) -> redis.asyncio.Redis:
    """Return a raw client with the settings of the lab's own: no command is sent twice."""
    return redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=CALL_SECONDS)


def on_stage(stage: Stage, *, blocks: bool = False) -> redis.asyncio.Redis:
    """Return a raw client that is closed with the stage; one that ``blocks`` reads as long as it takes."""
    options: dict[str, Any] = {"socket_timeout": None} if blocks else {"socket_timeout": CALL_SECONDS}
    native = redis.asyncio.Redis.from_url(stage.url, retry=Retry(NoBackoff(), 0), **options)
    stage.at_close(native.aclose)
    return native


class RedisKind(Kind):
    """What Redis's kinds share: they are there as soon as somebody uses them."""

    broker = "redis"

    async def make(self, url: str, name: str) -> None: ...

    async def empty(self, url: str, name: str) -> None:
        async with connect(url) as native:
            await native.delete(name)

    async def remove(self, url: str, name: str) -> None:
        await self.empty(url, name)

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        async with connect(url) as native:
            await pipelined(self, native, name, payloads)

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        """Add the command that publishes one message to a pipeline."""
        raise NotImplementedError


async def pipelined(
    kind: RedisKind, native: redis.asyncio.Redis, name: str, payloads: Sequence[bytes]
) -> None:
    """Publish with redis-py's pipeline, a window at a time."""
    for batch in batches(payloads, WINDOW):
        async with native.pipeline(transaction=False) as pipeline:
            for payload in batch:
                kind.put(pipeline, name, payload)
            await pipeline.execute()


def raw_pipeline(kind: RedisKind, stage: Stage) -> Work:
    """Return the raw client's way to publish many."""
    native = on_stage(stage)

    async def publish(payloads: Sequence[bytes]) -> None:
        await pipelined(kind, native, stage.name, payloads)

    return publish


async def our_pipeline(channel: Any, stage: Stage) -> Work:
    """Return the lab's."""
    pipeline = await stage.enter(channel.pipeline(WINDOW))

    async def publish(payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            await pipeline.publish(payload)
        await pipeline.drain()

    return publish


def new_faststream(stage: Stage) -> Any:
    """Return a FastStream broker, to be given subscribers and started."""
    from faststream.redis import RedisBroker

    return RedisBroker(stage.url, logger=None)


async def faststream(stage: Stage) -> Any:
    """Return a started FastStream broker without subscribers."""
    return await stage.started(new_faststream(stage))


async def faststream_consumer(stage: Stage, **options: Any) -> Work:
    """Start a FastStream subscriber."""
    broker = new_faststream(stage)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(**options)(handle)
    await stage.started(broker)
    return stage.received.complete
