"""Redis: the contestants side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from labkit.bench.cell import Operation, batches
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.pipeline import WINDOW

__all__ = ["KINDS", "ListKind", "PubSubKind", "StreamKind"]

BATCH = 10
"""Entries that a reader of a stream asks for at once: the same for everybody."""

GROUP = "processors"


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
            for batch in batches(payloads, WINDOW):
                async with native.pipeline(transaction=False) as pipeline:
                    for payload in batch:
                        self.put(pipeline, name, payload)
                    await pipeline.execute()

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        """Add the command that publishes one message to a pipeline."""
        raise NotImplementedError


class PubSubKind(RedisKind):
    """A Pub/Sub channel keeps nothing: what is counted is what a subscriber hears."""

    name = "pub/sub channel"

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        pipeline.publish(name, payload)

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        heard: list[bytes] = []

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    heard.append(message["data"])

        async def arrived() -> int:
            return len(heard)

        async with connect(url) as native, native.pubsub() as pubsub:
            await pubsub.subscribe(name)
            await pubsub.get_message(timeout=CALL_SECONDS)
            listener = asyncio.create_task(listen())
            yield arrived
            listener.cancel()
            await asyncio.wait([listener])


class ListKind(RedisKind):
    """A list: LPUSH at one end, BRPOP at the other."""

    name = "list"

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        pipeline.lpush(name, payload)

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        async with connect(url) as native:

            async def arrived() -> int:
                return await native.llen(name)

            yield arrived


class StreamKind(RedisKind):
    """A stream with a consumer group."""

    name = "stream"

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        pipeline.xadd(name, {"data": payload})

    async def make(self, url: str, name: str) -> None:
        async with connect(url) as native:
            await native.xgroup_create(name, GROUP, id="0", mkstream=True)

    async def empty(self, url: str, name: str) -> None:
        async with connect(url) as native:
            await native.xtrim(name, maxlen=0, approximate=False)

    async def remove(self, url: str, name: str) -> None:
        async with connect(url) as native:
            await native.delete(name)

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        async with connect(url) as native:

            async def arrived() -> int:
                return int(await native.xlen(name))

            yield arrived


pubsub_channel, simple_list, stream_with_group = PubSubKind(), ListKind(), StreamKind()
KINDS: tuple[Kind, ...] = (pubsub_channel, simple_list, stream_with_group)


async def faststream(stage: Stage) -> Any:
    """Return a started FastStream broker without subscribers."""
    from faststream.redis import RedisBroker

    return await stage.started(RedisBroker(stage.url, logger=None, socket_timeout=CALL_SECONDS))


# Pub/Sub


@pubsub_channel.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial(on_stage(stage).publish, stage.name)


@pubsub_channel.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await stage.client()).channel(stage.name).publish
    return publish


@pubsub_channel.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, channel=stage.name)


@pubsub_channel.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    pubsub = await stage.enter(on_stage(stage, blocks=True).pubsub(ignore_subscribe_messages=True))
    await pubsub.subscribe(stage.name)
    await pubsub.get_message(timeout=CALL_SECONDS)
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for message in pubsub.listen():
            if take(message["data"]):
                return

    return consume


@pubsub_channel.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    channel = (await stage.client()).channel(stage.name)
    subscription = await stage.enter(channel.subscribe("billing"))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@pubsub_channel.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream.redis import RedisBroker

    broker = RedisBroker(stage.url, logger=None)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(stage.name)(handle)
    await stage.started(broker)
    return stage.received.complete


# Lists


@simple_list.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial(on_stage(stage).lpush, stage.name)


@simple_list.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, list=stage.name)


@simple_list.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    native = on_stage(stage, blocks=True)
    take = stage.received.take

    async def consume(count: int) -> None:
        for _ in range(count):
            _name, payload = await cast("Awaitable[list[bytes]]", native.brpop([stage.name], timeout=0))
            take(payload)

    return consume


@simple_list.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream.redis import RedisBroker

    broker = RedisBroker(stage.url, logger=None)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(list=stage.name)(handle)
    await stage.started(broker)
    return stage.received.complete


# Streams


@stream_with_group.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    native, name = on_stage(stage), stage.name

    async def publish(payload: bytes) -> None:
        await native.xadd(name, {"data": payload})

    return publish


@stream_with_group.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, stream=stage.name)


@stream_with_group.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    native, name = on_stage(stage), stage.name

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            async with native.pipeline(transaction=False) as pipeline:
                for payload in batch:
                    pipeline.xadd(name, {"data": payload})
                await pipeline.execute()

    return publish


@stream_with_group.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    native, name = on_stage(stage, blocks=True), stage.name
    take = stage.received.take

    async def consume(count: int) -> None:
        while count:
            answer: Any = await native.xreadgroup(GROUP, "worker", {name: ">"}, count=BATCH, block=0)
            [[_name, entries]] = answer
            for entry, fields in entries:
                await native.xack(name, GROUP, entry)
                take(fields[b"data"])
            count -= len(entries)

    return consume


@stream_with_group.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream import AckPolicy
    from faststream.redis import RedisBroker, StreamSub

    broker = RedisBroker(stage.url, logger=None)
    stream = StreamSub(stage.name, group=GROUP, consumer="worker", max_records=BATCH, declare=False)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(stream=stream, ack_policy=AckPolicy.NACK_ON_ERROR)(handle)
    await stage.started(broker)
    return stage.received.complete
