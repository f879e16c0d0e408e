"""Killing a broker in the middle of its work, and counting what became of the orders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import PublishFailed
from labkit.patterns.publish_subscribe import Orders, Subscriber
from labkit.patterns.traffic import make_order

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Crash", "crash", "crash_while_away"]

ORDERS = 10
WAITING = 3


@dataclass(frozen=True, slots=True)
class Crash:
    """How many of ten orders failed while the broker was dead, and how many audit got: published before the
    crash, while the broker was dead, and after its restart.

    ``failed`` are the errors: refused or in doubt. Which of the two each is depends on how far the order had
    come when the connection broke, so that only their sum is the same each time.
    """

    failed: int
    before: int
    during: int
    after: int


async def crash(lab: Lab, shop: Orders[Any], subscriber: str = "audit") -> Crash:
    """Publish ten orders, kill the broker, publish ten, restart it, publish ten; count what arrived.

    All are numbered from 1001, so that they are not mistaken for others.
    """
    before, during, after = (range(start, start + ORDERS) for start in (1001, 2001, 3001))
    audit = shop.subscribers[subscriber]
    await _deliver(shop, audit, before)
    await lab.kill(shop.broker)
    failed = await _publish(shop, during)
    await lab.restart(shop.broker)
    await shop.until_heard()
    await _deliver(shop, audit, after)
    arrived = set(audit.numbers)
    return Crash(failed, *(len(arrived & set(numbers)) for numbers in (before, during, after)))


async def crash_while_away(lab: Lab, shop: Orders[Any], subscriber: str) -> int:
    """Publish three orders while somebody is away, kill and restart the broker; return how many they got."""
    waiting, last = range(4001, 4001 + WAITING), 4999
    await shop.leave(subscriber)
    await _publish(shop, waiting)
    await lab.kill(shop.broker)
    await lab.restart(shop.broker)
    await shop.until_heard()
    back = await shop.subscribe(subscriber)
    await _publish(shop, [last])
    await back.until_order(last)
    return len(set(back.numbers) & set(waiting))


async def _deliver(shop: Orders[Any], subscriber: Subscriber, numbers: Sequence[int]) -> None:
    """Publish these orders one after another while the broker runs, and wait until each has arrived.

    Raises ``PublishFailed`` if one was not accepted, and ``LabError`` if one does not arrive.
    """
    for number in numbers:
        await shop.publish("created", make_order(number))
    for number in numbers:
        await subscriber.until_order(number)


async def _publish(shop: Orders[Any], numbers: Sequence[int]) -> int:
    """Publish these orders side by side, each once; return how many failed: refused or in doubt."""
    results = await asyncio.gather(
        *(shop.publish("created", make_order(number)) for number in numbers), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, PublishFailed):
            raise error
    return len(errors)
