"""JetStream's streams: the contestants side by side."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from labkit.bench.cases.nats.native import connect, faststream, new_faststream, on_stage
from labkit.bench.cell import Operation, batches
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.pipeline import WINDOW

__all__ = ["StreamKind", "stream"]

BATCH = 100
"""Messages that a pulling consumer asks for at once: the same for everybody."""

PULL_SECONDS = 5.0
CONSUMER = "processor"


class StreamKind(Kind):
    """A stream in a file, with one subject, called as the stream."""

    broker = "nats"
    name = "stream"

    async def make(self, url: str, name: str) -> None:
        native = await connect(url)
        await native.jetstream().add_stream(StreamConfig(name=name, subjects=[name]))
        await native.close()

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        native = await connect(url)
        js = native.jetstream()
        for batch in batches(payloads, WINDOW):
            await asyncio.gather(*[await js.publish_async(name, payload) for payload in batch])
        await native.close()

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        native = await connect(url)

        async def arrived() -> int:
            return (await native.jetstream().stream_info(name)).state.messages

        yield arrived
        await native.close()

    async def empty(self, url: str, name: str) -> None:
        native = await connect(url)
        await native.jetstream().purge_stream(name)
        await native.close()

    async def remove(self, url: str, name: str) -> None:
        native = await connect(url)
        await native.jetstream().delete_stream(name)
        await native.close()


stream = StreamKind()


@stream.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await on_stage(stage)).jetstream().publish, stage.name)


@stream.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await (await stage.client()).find_stream(stage.name)).publish
    return publish


@stream.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, subject=stage.name, stream=stage.name)


@stream.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    js = (await on_stage(stage)).jetstream()

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            await asyncio.gather(*[await js.publish_async(stage.name, payload) for payload in batch])

    return publish


@stream.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    events = await (await stage.client()).find_stream(stage.name)
    pipeline = await stage.enter(events.pipeline(WINDOW))

    async def publish(payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            await pipeline.publish(payload)
        await pipeline.drain()

    return publish


@stream.faststream(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    publish_one = partial((await faststream(stage)).publish, subject=stage.name, stream=stage.name)

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            await asyncio.gather(*(publish_one(payload) for payload in batch))

    return publish


@stream.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    js = (await on_stage(stage)).jetstream()
    consumer = await js.pull_subscribe(stage.name, durable=CONSUMER, stream=stage.name)
    take = stage.received.take

    async def consume(count: int) -> None:
        while count:
            messages = await consumer.fetch(min(BATCH, count), PULL_SECONDS)
            for message in messages:
                await message.ack()
                take(message.data)
            count -= len(messages)

    return consume


@stream.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    events = await (await stage.client()).find_stream(stage.name)
    consumer = await events.consumer(CONSUMER)
    subscription = await stage.enter(consumer.subscribe(batch=BATCH))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            await delivery.ack()
            if take(delivery.data):
                return

    return consume


@stream.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream.nats import PullSub

    return await faststream_consumer(stage, pull_sub=PullSub(batch_size=BATCH, timeout=PULL_SECONDS))


@stream.raw(Operation.HANDLE)
async def _(stage: Stage) -> Work:
    js = (await on_stage(stage)).jetstream()
    take = stage.received.take

    async def handle(message: Msg) -> None:
        take(message.data)
        await message.ack()

    config = ConsumerConfig(max_ack_pending=1000)
    options: dict[str, Any] = {"stream": stage.name, "manual_ack": True, "config": config}
    await js.subscribe(stage.name, durable=CONSUMER, cb=handle, **options)
    return stage.received.complete


@stream.ours(Operation.HANDLE)
async def _(stage: Stage) -> Work:
    events = await (await stage.client()).find_stream(stage.name)
    consumer = await events.consumer(CONSUMER, mode="push")
    subscription = await stage.enter(consumer.subscribe())
    take = stage.received.take

    async def handle(delivery: Any) -> None:
        take(delivery.data)

    subscription.run(handle)
    return stage.received.complete


@stream.faststream(Operation.HANDLE)
async def _(stage: Stage) -> Work:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it advises against a durable push consumer
        return await faststream_consumer(stage)


async def faststream_consumer(stage: Stage, **options: Any) -> Work:
    """Start a FastStream subscriber that acknowledges what its handler has done."""
    from faststream import AckPolicy
    from faststream.nats import JStream

    broker = new_faststream(stage)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(
        stage.name,
        stream=JStream(stage.name, declare=False),
        durable=CONSUMER,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        **options,
    )(handle)
    await stage.started(broker)
    return stage.received.complete
