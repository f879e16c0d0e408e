"""RabbitMQ: the contestants side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aio_pika
from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustExchange,
    AbstractRobustQueue,
    DeliveryMode,
)

from labkit.bench.cell import Operation, batches
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.pipeline import WINDOW
from labkit.brokers.rabbitmq.channels.queue import QueueDelivery

__all__ = ["KINDS", "QueueKind"]

PREFETCH = 100
"""Messages a consumer is handed before it acknowledges the first: the same for everybody."""


def persistent(payload: bytes) -> aio_pika.Message:
    """Return the message that every contestant sends."""
    return aio_pika.Message(payload, delivery_mode=DeliveryMode.PERSISTENT)


async def connect(url: str) -> AbstractRobustConnection:
    """Return a raw connection with the settings of the lab's own."""
    return await aio_pika.connect_robust(url, reconnect_interval=0.2)


class QueueKind(Kind):
    """A topic exchange with one queue that gets everything."""

    broker = "rabbitmq"

    def __init__(self, kind: Literal["classic", "quorum"]) -> None:
        super().__init__()
        self.kind = kind
        self.arguments: dict[str, Any] = {"x-queue-type": kind}

    @property
    def name(self) -> str:  # type: ignore[override]  # two objects of this class have two names
        return f"{self.kind} queue"

    async def exchange(self, channel: AbstractRobustChannel, name: str) -> AbstractRobustExchange:
        """Declare the exchange on this AMQP channel."""
        exchange = await channel.declare_exchange(name, "topic", durable=True)
        assert isinstance(exchange, AbstractRobustExchange)
        return exchange

    async def queue(self, channel: AbstractRobustChannel, name: str) -> AbstractRobustQueue:
        """Declare the queue on this AMQP channel."""
        queue = await channel.declare_queue(name, durable=True, arguments=self.arguments)
        assert isinstance(queue, AbstractRobustQueue)
        return queue

    async def make(self, url: str, name: str) -> None:
        async with await connect(url) as connection:
            channel = await connection.channel()
            await (await self.queue(channel, name)).bind(await self.exchange(channel, name), "#")

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        async with await connect(url) as connection:
            exchange = await self.exchange(await connection.channel(), name)
            for batch in batches(payloads, WINDOW):
                await asyncio.gather(*(exchange.publish(persistent(payload), name) for payload in batch))

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        async with await connect(url) as connection:
            channel = await connection.channel()

            async def arrived() -> int:
                queue = await channel.declare_queue(name, passive=True)
                return queue.declaration_result.message_count or 0

            yield arrived

    async def empty(self, url: str, name: str) -> None:
        async with await connect(url) as connection:
            await (await self.queue(await connection.channel(), name)).purge()

    async def remove(self, url: str, name: str) -> None:
        async with await connect(url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(name)
            await channel.exchange_delete(name)


async def raw_exchange(kind: QueueKind, stage: Stage, *, confirms: bool = True) -> AbstractRobustExchange:
    """Return the exchange on a connection that is closed with the stage."""
    connection = await stage.enter(await connect(stage.url))
    channel = await connection.channel(publisher_confirms=confirms)
    return await kind.exchange(channel, stage.name)


async def raw_queue(kind: QueueKind, stage: Stage) -> AbstractRobustQueue:
    """Return the queue likewise, with the prefetch of all."""
    connection = await stage.enter(await connect(stage.url))
    channel = await connection.channel()
    await channel.set_qos(PREFETCH)
    return await kind.queue(channel, stage.name)


async def our_queue(kind: QueueKind, stage: Stage) -> Any:
    """Return the lab's queue, bound as the others are."""
    client = await stage.client()
    exchange = await client.exchange(stage.name)
    return await client.queue(stage.name, kind=kind.kind, bind=(exchange, "#"))


def add_contestants(kind: QueueKind) -> None:
    """Register who takes part with this kind of queue."""

    @kind.raw(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        exchange = await raw_exchange(kind, stage)
        name = stage.name

        async def publish(payload: bytes) -> None:
            await exchange.publish(persistent(payload), name, mandatory=False)

        return publish

    @kind.ours(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        exchange = await (await stage.client()).exchange(stage.name)
        name = stage.name

        async def publish(payload: bytes) -> None:
            await exchange.publish(payload, name)

        return publish

    @kind.faststream(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        publish_one = await faststream_publisher(stage)

        async def publish(payload: bytes) -> None:
            await publish_one(payload, routing_key=stage.name, persist=True, mandatory=False)

        return publish

    @kind.raw(Operation.PIPELINE)
    async def _(stage: Stage) -> Work:
        exchange = await raw_exchange(kind, stage)
        name = stage.name

        async def publish(payloads: Sequence[bytes]) -> None:
            for batch in batches(payloads, WINDOW):
                await asyncio.gather(
                    *(exchange.publish(persistent(payload), name, mandatory=False) for payload in batch)
                )

        return publish

    @kind.faststream(Operation.PIPELINE)
    async def _(stage: Stage) -> Work:
        publish_one = await faststream_publisher(stage)
        options: dict[str, Any] = {"routing_key": stage.name, "persist": True, "mandatory": False}

        async def publish(payloads: Sequence[bytes]) -> None:
            for batch in batches(payloads, WINDOW):
                await asyncio.gather(*(publish_one(payload, **options) for payload in batch))

        return publish

    @kind.raw(Operation.CONSUME)
    async def _(stage: Stage) -> Work:
        queue = await raw_queue(kind, stage)
        messages = await stage.enter(queue.iterator())
        take = stage.received.take

        async def consume(_count: int) -> None:
            async for message in messages:
                await message.ack()
                if take(message.body):
                    return

        return consume

    @kind.ours(Operation.CONSUME)
    async def _(stage: Stage) -> Work:
        queue = await our_queue(kind, stage)
        subscription = await stage.enter(queue.subscribe("billing", prefetch=PREFETCH))
        take = stage.received.take

        async def consume(_count: int) -> None:
            async for delivery in subscription:
                await delivery.ack()
                if take(delivery.data):
                    return

        return consume

    @kind.raw(Operation.HANDLE)
    async def _(stage: Stage) -> Work:
        queue = await raw_queue(kind, stage)
        take = stage.received.take

        async def handle(message: AbstractIncomingMessage) -> None:
            async with message.process():
                take(message.body)

        await queue.consume(handle)
        return stage.received.complete

    @kind.ours(Operation.HANDLE)
    async def _(stage: Stage) -> Work:
        queue = await our_queue(kind, stage)
        subscription = await stage.enter(queue.subscribe("billing", prefetch=PREFETCH))
        take = stage.received.take

        async def handle(delivery: QueueDelivery) -> None:
            take(delivery.data)

        subscription.run(handle)
        return stage.received.complete

    @kind.faststream(Operation.CONSUME, Operation.HANDLE)
    async def _(stage: Stage) -> Work:
        from faststream import AckPolicy
        from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

        broker = RabbitBroker(stage.url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
        queue = RabbitQueue(stage.name, declare=False, routing_key="#")
        exchange = RabbitExchange(stage.name, type=ExchangeType.TOPIC, declare=False)
        take = stage.received.take

        async def handle(body: bytes) -> None:
            take(body)

        broker.subscriber(queue, exchange, ack_policy=AckPolicy.REJECT_ON_ERROR)(handle)
        await stage.started(broker)
        return stage.received.complete


async def faststream_publisher(stage: Stage) -> Work:
    """Return what publishes to the exchange by a FastStream broker that is started with the stage."""
    from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

    broker = RabbitBroker(stage.url, logger=None)
    exchange = RabbitExchange(stage.name, type=ExchangeType.TOPIC, declare=False)
    await stage.started(broker)

    async def publish(payload: bytes, **options: Any) -> None:
        await broker.publish(payload, exchange=exchange, **options)

    return publish


CLASSIC, QUORUM = QueueKind("classic"), QueueKind("quorum")
KINDS: tuple[Kind, ...] = (CLASSIC, QUORUM)
for one in (CLASSIC, QUORUM):
    add_contestants(one)
