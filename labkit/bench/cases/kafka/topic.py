"""Kafka topics, with places stored once a second: the contestants side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from labkit.bench.cases.kafka.native import (
    TopicKind,
    consumer_on_stage,
    faststream,
    faststream_consumer,
    producer_on_stage,
)
from labkit.bench.cell import Operation, batches
from labkit.bench.kind import Work
from labkit.bench.stage import Stage
from labkit.brokers.pipeline import WINDOW

__all__ = ["topic"]

topic = TopicKind("topic")


@topic.raw(Operation.FIRE)
async def _(stage: Stage) -> Work:
    return partial((await producer_on_stage(stage, acks=0)).send_and_wait, stage.name)


@topic.ours(Operation.FIRE)
async def _(stage: Stage) -> Work:
    producer = await (await stage.client()).producer(acks=0)
    return partial(producer.publish, stage.name)


@topic.faststream(Operation.FIRE)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage, acks=0)).publish, topic=stage.name)


@topic.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await producer_on_stage(stage)).send_and_wait, stage.name)


@topic.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await (await stage.client()).topic(stage.name)).publish
    return publish


@topic.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, topic=stage.name)


@topic.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    producer, name = await producer_on_stage(stage), stage.name

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            answers = [await producer.send(name, payload) for payload in batch]
            await asyncio.gather(*answers)

    return publish


@topic.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    channel = await (await stage.client()).topic(stage.name)
    pipeline = await stage.enter(channel.pipeline(window=WINDOW))

    async def publish(payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            await pipeline.publish(payload)
        await pipeline.drain()

    return publish


@topic.faststream(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    broker, name = await faststream(stage), stage.name

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            answers = [await broker.publish(payload, topic=name, no_confirm=True) for payload in batch]
            await asyncio.gather(*answers)

    return publish


@topic.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    consumer = await consumer_on_stage(stage)
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for record in consumer:
            if take(record.value):
                return

    return consume


@topic.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    channel = await (await stage.client()).topic(stage.name)
    subscription = await stage.enter(channel.subscribe("billing", start="earliest", group=stage.name))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@topic.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    return await faststream_consumer(stage, "ACK_FIRST")
