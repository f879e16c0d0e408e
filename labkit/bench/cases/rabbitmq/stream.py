"""RabbitMQ's streams: the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from labkit.bench.cases.rabbitmq.native import (
    PREFETCH,
    connect,
    new_faststream,
    open_channel,
    publish_all,
    publisher,
)
from labkit.bench.cell import Operation
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage

__all__ = ["StreamKind", "stream"]

FROM_NOW_ON: dict[str, Any] = {"x-stream-offset": "next"}


async def declare(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare the stream on this AMQP channel."""
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "stream"})


class StreamKind(Kind):
    """A stream, published to by the default exchange."""

    broker = "rabbitmq"
    name = "stream"

    async def make(self, url: str, name: str) -> None:
        async with await connect(url) as connection:
            await declare(await connection.channel(), name)

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        async with await connect(url) as connection:
            channel = await connection.channel()
            await publish_all(publisher(channel.default_exchange, name))(payloads)

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        heard: list[bytes] = []

        async def hear(message: AbstractIncomingMessage) -> None:
            heard.append(message.body)
            await message.ack()

        async def arrived() -> int:
            return len(heard)

        async with await connect(url) as connection:
            channel = await connection.channel()
            await channel.set_qos(PREFETCH)
            await (await declare(channel, name)).consume(hear, arguments=FROM_NOW_ON)
            yield arrived

    async def empty(self, url: str, name: str) -> None:
        """Nothing: a stream keeps what it has, and publishing to a long one costs no more."""

    async def remove(self, url: str, name: str) -> None:
        async with await connect(url) as connection:
            await (await connection.channel()).queue_delete(name)


stream = StreamKind()


@stream.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return publisher((await open_channel(stage)).default_exchange, stage.name)


@stream.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await (await stage.client()).stream(stage.name)).publish
    return publish


@stream.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return await faststream_publisher(stage)


@stream.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return publish_all(publisher((await open_channel(stage)).default_exchange, stage.name))


@stream.ours(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    log = await (await stage.client()).stream(stage.name)
    pipeline = await stage.enter(log.pipeline())

    async def publish(payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            await pipeline.publish(payload)
        await pipeline.drain()

    return publish


@stream.faststream(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    return publish_all(await faststream_publisher(stage))


@stream.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    queue = await declare(await open_channel(stage), stage.name)
    messages = await stage.enter(queue.iterator(arguments=FROM_NOW_ON))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for message in messages:
            await message.ack()
            if take(message.body):
                return

    return consume


@stream.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    log = await (await stage.client()).stream(stage.name)
    subscription = await stage.enter(log.subscribe("reader", start="next", prefetch=PREFETCH))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@stream.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream.rabbit import RabbitQueue

    broker = new_faststream(stage)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    queue = RabbitQueue(stage.name, declare=False)
    broker.subscriber(queue, consume_args=FROM_NOW_ON)(handle)
    await stage.started(broker)
    return stage.received.complete


async def faststream_publisher(stage: Stage) -> Work:
    """Return what publishes to the stream by a FastStream broker."""
    broker = await stage.started(new_faststream(stage))
    options: dict[str, Any] = {"queue": stage.name, "persist": True, "mandatory": False}

    async def publish(payload: bytes) -> None:
        await broker.publish(payload, **options)

    return publish
