"""Redis lists, read at one's own risk (BRPOP) and reliably (BLMOVE): the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

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

__all__ = ["ListKind", "reliable_list", "simple_list"]


class ListKind(RedisKind):
    """A list: LPUSH at one end, BRPOP or BLMOVE at the other."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def put(self, pipeline: redis.asyncio.client.Pipeline, name: str, payload: bytes) -> None:
        pipeline.lpush(name, payload)

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        async with connect(url) as native:

            async def arrived() -> int:
                return await native.llen(name)

            yield arrived


simple_list, reliable_list = ListKind("list"), ListKind("reliable list")


@simple_list.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial(on_stage(stage).lpush, stage.name)


@simple_list.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await stage.client()).list(stage.name).publish
    return publish


@simple_list.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, list=stage.name)


@simple_list.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return raw_pipeline(simple_list, stage)


@simple_list.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return await our_pipeline((await stage.client()).list(stage.name), stage)


@simple_list.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    native = on_stage(stage, blocks=True)
    take = stage.received.take

    async def consume(count: int) -> None:
        for _ in range(count):
            _name, payload = await cast("Awaitable[list[bytes]]", native.brpop([stage.name], timeout=0))
            take(payload)

    return consume


@simple_list.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    tasks = (await stage.client()).list(stage.name)
    subscription = await stage.enter(tasks.subscribe("worker"))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@simple_list.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    return await faststream_consumer(stage, list=stage.name)


# Each element is moved to a list of the worker's own, and removed there when it is done.


@reliable_list.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    native: Any = on_stage(stage, blocks=True)
    held = f"{stage.name}:worker"
    take = stage.received.take

    async def consume(count: int) -> None:
        for _ in range(count):
            payload = await native.blmove(stage.name, held, 0, "RIGHT", "LEFT")
            await native.lrem(held, -1, payload)
            take(payload)

    return consume


@reliable_list.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    tasks = (await stage.client()).list(stage.name)
    subscription = await stage.enter(tasks.subscribe_reliably("worker"))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            await delivery.ack()
            if take(delivery.data):
                return

    return consume
