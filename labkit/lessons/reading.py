"""Reading in a cell: so many deliveries, all that come before the last one, or the reply to a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import Subscription
from labkit.errors import NoReply

__all__ = ["LAST", "answer_of", "read", "take", "wait_for"]

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)
Found = TypeVar("Found")

LAST = "closing time"
"""Published last. Where order is kept, what has not arrived before it does not arrive."""

READ_SECONDS = 30.0


async def take(subscription: Subscription[AnyDelivery], count: int) -> list[AnyDelivery]:
    """Return the next ``count`` deliveries, not yet settled. Raises ``TimeoutError`` after 30 seconds."""
    async with asyncio.timeout(READ_SECONDS):
        return [await anext(subscription) for _ in range(count)]


async def read(subscription: Subscription[AnyDelivery]) -> list[AnyDelivery]:
    """Return the deliveries that come before ``LAST``. Raises ``TimeoutError`` after 30 seconds."""
    found: list[AnyDelivery] = []
    async with asyncio.timeout(READ_SECONDS):
        while (delivery := await anext(subscription)).value != LAST:
            found.append(delivery)
    return found


async def answer_of(request: Awaitable[Delivery]) -> object:
    """Return what a request is answered with, or in words why it is not."""
    try:
        return (await request).value
    except NoReply as error:
        return f"{type(error).__name__}: {error.what}"


async def wait_for(ask: Callable[[], Awaitable[Found]]) -> Found:
    """Ask again and again until the answer is not 0, and return it. Raises ``TimeoutError`` likewise."""
    async with asyncio.timeout(READ_SECONDS):
        while not (answer := await ask()):  # noqa: ASYNC110  # brokers do not tell when
            await asyncio.sleep(0.05)
    return answer
