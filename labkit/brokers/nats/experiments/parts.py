"""What the experiments share: reading a few messages, and a program that dies."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from labkit.brokers.delivery import Delivery
from labkit.brokers.nats.channels.subject import Subject, SubjectDelivery, SubjectSubscription
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.subscription import Subscription

__all__ = ["FENCE", "crash", "take", "until_fence", "until_some_fence"]

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)

FENCE = "fence"
"""Sent last. Order is kept, so what has not arrived before it does not arrive."""


async def take(subscription: Subscription[AnyDelivery], count: int) -> list[AnyDelivery]:
    """Return the next ``count`` deliveries."""
    return [await anext(subscription) for _ in range(count)]


async def until_fence(subscription: Subscription[AnyDelivery]) -> list[AnyDelivery]:
    """Return the deliveries that come before the fence."""
    taken: list[AnyDelivery] = []
    while (delivery := await anext(subscription)).value != FENCE:
        taken.append(delivery)
    return taken


async def until_some_fence(subject: Subject, subscription: SubjectSubscription) -> list[SubjectDelivery]:
    """Do the same, and send fences until one arrives: the first may go to somebody who died just now."""
    reading = asyncio.create_task(until_fence(subscription))
    while not reading.done():
        await subject.publish(FENCE)
        await asyncio.wait([reading], timeout=0.05)
    return reading.result()


async def crash(client: NatsClient) -> None:
    """Break this program's connection as if it had died: not a word to the server, and no way back."""
    native = client.native
    native.options["allow_reconnect"] = False
    transport = native._transport
    assert transport is not None
    transport._io_writer.transport.abort()  # type: ignore[attr-defined]
    while not native.is_closed:  # noqa: ASYNC110  # nats-py finds out in a moment
        await asyncio.sleep(0.001)
