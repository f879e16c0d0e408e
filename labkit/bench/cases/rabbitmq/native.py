"""How RabbitMQ is reached without the lab: by aio-pika, and by FastStream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractRobustChannel, AbstractRobustConnection, DeliveryMode

from labkit.bench.cell import batches
from labkit.bench.kind import Work
from labkit.bench.stage import Stage
from labkit.brokers.pipeline import WINDOW

__all__ = [
    "PREFETCH",
    "connect",
    "new_faststream",
    "open_channel",
    "persistent",
    "publish_all",
    "publisher",
]

PREFETCH = 100
"""Messages a consumer is handed before it acknowledges the first: the same for everybody."""


def persistent(payload: bytes) -> aio_pika.Message:
    """Return the message that every contestant sends."""
    return aio_pika.Message(payload, delivery_mode=DeliveryMode.PERSISTENT)


async def connect(url: str) -> AbstractRobustConnection:
    """Return a raw connection with the settings of the lab's own."""
    return await aio_pika.connect_robust(url, reconnect_interval=0.2)


async def open_channel(stage: Stage, *, confirms: bool = True) -> AbstractRobustChannel:
    """Return an AMQP channel on a raw connection that is closed with the stage."""
    connection = await stage.enter(await connect(stage.url))
    channel = await connection.channel(publisher_confirms=confirms)
    assert isinstance(channel, AbstractRobustChannel)
    await channel.set_qos(PREFETCH)
    return channel


def publisher(exchange: AbstractExchange, key: str) -> Work:
    """Return what publishes one message with the raw client."""

    async def publish(payload: bytes) -> None:
        await exchange.publish(persistent(payload), key, mandatory=False)

    return publish


def publish_all(publish: Work) -> Work:
    """Return what publishes many at once: aio-pika and FastStream have no other way than a task each."""

    async def publish_window(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            await asyncio.gather(*(publish(payload) for payload in batch))

    return publish_window


def new_faststream(stage: Stage, *, confirms: bool = True) -> Any:
    """Return a FastStream broker, to be given subscribers and started."""
    from faststream.rabbit import Channel, RabbitBroker

    channel = Channel(prefetch_count=PREFETCH, publisher_confirms=confirms)
    return RabbitBroker(stage.url, logger=None, default_channel=channel)
