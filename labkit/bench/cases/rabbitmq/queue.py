"""RabbitMQ's queues behind an exchange: the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustExchange,
    AbstractRobustQueue,
)

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

__all__ = ["QueueKind", "classic", "our_queue", "quorum"]


class QueueKind(Kind):
    """A topic exchange with one queue that gets everything."""

    broker = "rabbitmq"

    def __init__(self, kind: Literal["classic", "quorum"]) -> None:
        super().__init__()
        self.kind = kind
        self.name = f"{kind} queue"
        self.arguments: dict[str, Any] = {"x-queue-type": kind}

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
            await publish_all(publisher(exchange, name))(payloads)

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
    """Return the exchange on an AMQP channel of this contestant."""
    return await kind.exchange(await open_channel(stage, confirms=confirms), stage.name)


async def our_queue(kind: QueueKind, stage: Stage) -> Any:
    """Return the lab's queue, bound as the others are."""
    client = await stage.client()
    exchange = await client.exchange(stage.name)
    return await client.queue(stage.name, kind=kind.kind, bind=(exchange, "#"))


async def faststream_publisher(stage: Stage, *, confirms: bool = True) -> tuple[Any, Work]:
    """Return a started FastStream broker, and what publishes to the exchange with it."""
    from faststream.rabbit import ExchangeType, RabbitExchange

    broker = await stage.started(new_faststream(stage, confirms=confirms))
    exchange = RabbitExchange(stage.name, type=ExchangeType.TOPIC, declare=False)
    options: dict[str, Any] = {"exchange": exchange, "persist": True, "mandatory": False}

    async def publish(payload: bytes) -> None:
        await broker.publish(payload, routing_key=stage.name, **options)

    return broker, publish


def read_by_all(channel: Any, name: str) -> Work:
    """Return a question on this AMQP channel; answered, everything sent on it before was read, too."""

    async def ask() -> None:
        await (await channel.get_underlay_channel()).queue_declare(name, passive=True)

    return ask


def add_publishers(kind: QueueKind) -> None:
    """Register who publishes to this kind of queue."""

    @kind.raw(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        return publisher(await raw_exchange(kind, stage), stage.name)

    @kind.ours(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        exchange, name = await (await stage.client()).exchange(stage.name), stage.name

        async def publish(payload: bytes) -> None:
            await exchange.publish(payload, name)

        return publish

    @kind.faststream(Operation.CONFIRM)
    async def _(stage: Stage) -> Work:
        return (await faststream_publisher(stage))[1]

    @kind.raw(Operation.PIPELINE)
    async def _(stage: Stage) -> Work:
        return publish_all(publisher(await raw_exchange(kind, stage), stage.name))

    @kind.ours(Operation.PIPELINE)
    async def _(stage: Stage) -> Work:
        exchange, name = await (await stage.client()).exchange(stage.name), stage.name
        pipeline = await stage.enter(exchange.pipeline())

        async def publish(payloads: Sequence[bytes]) -> None:
            for payload in payloads:
                await pipeline.publish(payload, name)
            await pipeline.drain()

        return publish

    @kind.faststream(Operation.PIPELINE)
    async def _(stage: Stage) -> Work:
        return publish_all((await faststream_publisher(stage))[1])


def add_consumers(kind: QueueKind) -> None:
    """Register who reads from this kind of queue."""

    @kind.raw(Operation.CONSUME)
    async def _(stage: Stage) -> Work:
        queue = await kind.queue(await open_channel(stage), stage.name)
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
        queue = await kind.queue(await open_channel(stage), stage.name)
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

        async def handle(delivery: Any) -> None:
            take(delivery.data)

        subscription.run(handle)
        return stage.received.complete

    @kind.faststream(Operation.CONSUME, Operation.HANDLE)
    async def _(stage: Stage) -> Work:
        from faststream import AckPolicy
        from faststream.rabbit import RabbitQueue

        broker = new_faststream(stage)
        take = stage.received.take

        async def handle(body: bytes) -> None:
            take(body)

        queue = RabbitQueue(stage.name, declare=False)
        broker.subscriber(queue, ack_policy=AckPolicy.REJECT_ON_ERROR)(handle)
        await stage.started(broker)
        return stage.received.complete


classic, quorum = QueueKind("classic"), QueueKind("quorum")
for each in (classic, quorum):
    add_publishers(each)
    add_consumers(each)


# Without confirms: classic queues only. A quorum queue was seen to drop 2 of 20 messages sent so while it was
# new, and a rate at which messages are lost is none.


@classic.raw(Operation.FIRE)
async def _(stage: Stage) -> Work:
    channel = await open_channel(stage, confirms=False)
    stage.finish = read_by_all(channel, stage.name)
    return publisher(await classic.exchange(channel, stage.name), stage.name)


@classic.ours(Operation.FIRE)
async def _(stage: Stage) -> Work:
    client = await stage.client()
    exchange, name = await client.exchange(stage.name), stage.name
    stage.finish = read_by_all((await client.outlet(confirms=False)).channel, name)

    async def publish(payload: bytes) -> None:
        await exchange.publish_unconfirmed(payload, name)

    return publish


@classic.faststream(Operation.FIRE)
async def _(stage: Stage) -> Work:
    broker, publish = await faststream_publisher(stage, confirms=False)
    stage.finish = read_by_all(await broker.config.channel_manager.get_channel(), stage.name)
    return publish
