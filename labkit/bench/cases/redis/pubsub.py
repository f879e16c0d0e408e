"""Redis Pub/Sub: the contestants side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

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
from labkit.brokers.client import CALL_SECONDS

__all__ = ["PubSubKind", "pubsub_channel"]


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


pubsub_channel = PubSubKind()


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
    return await faststream_consumer(stage, channel=stage.name)


@pubsub_channel.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return raw_pipeline(pubsub_channel, stage)


@pubsub_channel.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return await our_pipeline((await stage.client()).channel(stage.name), stage)
