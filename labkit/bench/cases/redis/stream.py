"""Redis streams read by a group: the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import redis.asyncio

from labkit.bench.cases.redis.native import (
    RedisKind,
    connect,
    faststream,
    faststream_consumer,
    on_stage,
    our_pipeline,
    raw_pipeline,
)
from labkit.bench.cell import Operation
from labkit.bench.kind import Arrived, Work
from labkit.bench.stage import Stage

__all__ = ["StreamKind", "stream"]

BATCH = 10
"""Entries that a worker asks for at once: the same for everybody."""

GROUP = "processors"


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


stream = StreamKind()


@stream.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    native, name = on_stage(stage), stage.name

    async def publish(payload: bytes) -> None:
        await native.xadd(name, {"data": payload})

    return publish


@stream.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, stream=stage.name)


@stream.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await stage.client()).stream(stage.name).publish
    return publish


@stream.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return raw_pipeline(stream, stage)


@stream.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return await our_pipeline((await stage.client()).stream(stage.name), stage)


@stream.raw(Operation.CONSUME)
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


@stream.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    events = (await stage.client()).stream(stage.name)
    group = await events.group(GROUP)
    subscription = await stage.enter(group.subscribe("worker", batch=BATCH))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            await delivery.ack()
            if take(delivery.data):
                return

    return consume


@stream.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream import AckPolicy
    from faststream.redis import StreamSub

    entries = StreamSub(stage.name, group=GROUP, consumer="worker", max_records=BATCH, declare=False)
    return await faststream_consumer(stage, stream=entries, ack_policy=AckPolicy.NACK_ON_ERROR)
