"""NATS: the contestants side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from labkit.bench.cell import Operation
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.delivery import Delivery

__all__ = ["KINDS", "Subject"]


SETTINGS: dict[str, Any] = {"reconnect_time_wait": 0.1, "max_reconnect_attempts": -1, "ping_interval": 10}
"""The lab's own, for everybody."""


async def connect(url: str) -> Client:
    """Return a raw connection with the settings of the lab's own."""
    return await nats.connect(url, **SETTINGS)


async def on_stage(stage: Stage) -> Client:
    """Return a raw connection that is closed with the stage."""
    native = await connect(stage.url)
    stage.at_close(native.close)
    return native


async def faststream(stage: Stage) -> Any:
    """Return a started FastStream broker without subscribers."""
    from faststream.nats import NatsBroker

    return await stage.started(NatsBroker(stage.url, logger=None, **SETTINGS))


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
KINDS: tuple[Kind, ...] = (subject,)


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
    from faststream.nats import NatsBroker

    broker = NatsBroker(stage.url, logger=None, **SETTINGS)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(stage.name)(handle)
    await stage.started(broker)
    return stage.received.complete
