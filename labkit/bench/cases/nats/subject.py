"""NATS subjects: the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from nats.aio.msg import Msg

from labkit.bench.cases.nats.native import connect, faststream, new_faststream, on_stage
from labkit.bench.cell import Operation
from labkit.bench.kind import REPLY_SECONDS, Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.delivery import Delivery

__all__ = ["Subject", "subject"]


class Subject(Kind):
    """A subject keeps nothing: what is counted is what a subscriber hears."""

    broker = "nats"
    name = "subject"

    async def make(self, url: str, name: str) -> None: ...

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        native = await connect(url)
        for payload in payloads:
            await native.publish(name, payload)
        await native.flush()
        await native.close()

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        heard: list[bytes] = []

        async def hear(message: Msg) -> None:
            heard.append(message.data)

        async def arrived() -> int:
            return len(heard)

        native = await connect(url)
        await native.subscribe(name, cb=hear)
        await native.flush()
        yield arrived
        await native.close()

    async def empty(self, url: str, name: str) -> None: ...

    async def remove(self, url: str, name: str) -> None: ...


subject = Subject()


@subject.raw(Operation.FIRE)
async def _(stage: Stage) -> Work:
    native = await on_stage(stage)
    stage.finish = native.flush
    return partial(native.publish, stage.name)


@subject.ours(Operation.FIRE)
async def _(stage: Stage) -> Work:
    client = await stage.client()
    stage.finish = client.native.flush
    publish: Work = client.subject(stage.name).publish
    return publish


@subject.faststream(Operation.FIRE)
async def _(stage: Stage) -> Work:
    broker = await faststream(stage)
    stage.finish = broker._connection.flush
    return partial(broker.publish, subject=stage.name)


@subject.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    native = await on_stage(stage)
    subscription = await native.subscribe(stage.name)
    await native.flush()
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for message in subscription.messages:
            if take(message.data):
                return

    return consume


@subject.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    client = await stage.client()
    subscription = await stage.enter(client.subject(stage.name).subscribe("billing"))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@subject.raw(Operation.HANDLE)
async def _(stage: Stage) -> Work:
    native = await on_stage(stage)
    take = stage.received.take

    async def handle(message: Msg) -> None:
        take(message.data)

    await native.subscribe(stage.name, cb=handle)
    await native.flush()
    return stage.received.complete


@subject.ours(Operation.HANDLE)
async def _(stage: Stage) -> Work:
    client = await stage.client()
    subscription = await stage.enter(client.subject(stage.name).subscribe("billing"))
    take = stage.received.take

    async def handle(delivery: Delivery) -> None:
        take(delivery.data)

    subscription.run(handle)
    return stage.received.complete


@subject.faststream(Operation.CONSUME, Operation.HANDLE)
async def _(stage: Stage) -> Work:
    broker = new_faststream(stage)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(stage.name)(handle)
    await stage.started(broker)
    return stage.received.complete


@subject.raw(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    replier, native = await on_stage(stage), await on_stage(stage)

    async def reply(message: Msg) -> None:
        await message.respond(message.data)

    await replier.subscribe(stage.name, cb=reply)
    await replier.flush()

    async def ask(payload: bytes) -> bytes:
        return (await native.request(stage.name, payload, REPLY_SECONDS)).data

    return ask


@subject.ours(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    replier, client = await stage.client(), await stage.client()
    subscription = await stage.enter(replier.subject(stage.name).subscribe("quoter"))
    subscription.run(lambda request: request.reply(request.data))
    prices = client.subject(stage.name)

    async def ask(payload: bytes) -> bytes:
        reply: Delivery = await prices.request(payload, timeout=REPLY_SECONDS)
        return reply.data

    return ask


@subject.faststream(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    replier, broker = new_faststream(stage), await faststream(stage)

    async def reply(body: bytes) -> bytes:
        return body

    replier.subscriber(stage.name)(reply)
    await stage.started(replier)

    async def ask(payload: bytes) -> bytes:
        reply = await broker.request(payload, subject=stage.name, timeout=REPLY_SECONDS)
        body: bytes = reply.body
        return body

    return ask
