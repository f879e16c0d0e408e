"""A shop that never sleeps: numbered orders, published at a rate that can be changed while it runs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from labkit.errors import BrokerError, LabError, PublishRefused

__all__ = ["Count", "TakesOrders", "Traffic", "make_order"]

ITEMS = ("tea", "coffee", "honey", "bread")

MOST_BEHIND = 0.25
"""Seconds of orders that are made up for after a slow publish. What a dead broker missed is not."""

log = logging.getLogger("labkit")


def make_order(number: int) -> dict[str, Any]:
    """Return order ``number``; always the same one for the same number."""
    return {"order": number, "item": ITEMS[number % len(ITEMS)], "amount": number % 5 + 1}


def always_created(number: int) -> str:
    """Say what happened to order ``number``: it was created."""
    return "created"


class TakesOrders(Protocol):
    """Whatever orders can be published to, on one broker."""

    @property
    def broker(self) -> str: ...

    @property
    def confirms(self) -> bool: ...

    async def publish(self, event: str, order: Mapping[str, Any], /) -> None: ...


@dataclass(slots=True)
class Count:
    """What became of one broker's orders so far.

    ``confirmed`` is None where the broker never says (NATS). ``refused`` were certainly not accepted.
    ``in_doubt`` are all others that failed: no answer came, and they may have arrived all the same. What is
    attempted and none of these is under way.
    """

    attempted: int
    confirmed: int | None
    refused: int
    in_doubt: int

    @property
    def failed(self) -> int:
        """Orders whose publish raised an error, whichever it was."""
        return self.refused + self.in_doubt


class Traffic:
    """Publishes orders on several brokers at once, in one task a broker, which it owns.

    Each broker has its own numbers, from 1. An order that failed is counted and not tried again: the next
    number follows. ``rate`` is in orders a second on each broker and may be changed at any time; 0 pauses.
    ``event_of`` says what happened to an order, by its number.
    """

    def __init__(
        self,
        shops: Sequence[TakesOrders],
        rate: float = 10.0,
        event_of: Callable[[int], str] = always_created,
    ) -> None:
        self.event_of = event_of
        self._rate = rate
        self._lanes = [_Lane(shop, self) for shop in shops]

    @property
    def rate(self) -> float:
        """Orders a second on each broker."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = rate
        for lane in self._lanes:
            lane.wake()

    def set_rate(self, rate: float) -> None:
        """Set ``rate``; for controls, which want a function."""
        self.rate = rate

    @property
    def counts(self) -> dict[str, Count]:
        """What became of the orders so far, by broker."""
        return {lane.shop.broker: lane.count for lane in self._lanes}

    def start(self) -> Self:
        """Publish until told otherwise."""
        for lane in self._lanes:
            lane.aim(math.inf)
        return self

    def pause(self) -> None:
        """Publish no more; an order that is under way is finished."""
        for lane in self._lanes:
            lane.aim(lane.count.attempted)

    async def send(self, orders: int, within: float = 60.0) -> dict[str, Count]:
        """Publish exactly ``orders`` more on each broker, wait until each has an outcome, and pause.

        Raises ``LabError`` if that takes longer than ``within`` seconds.
        """
        for lane in self._lanes:
            lane.aim(lane.count.attempted + orders)
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(lane.finished() for lane in self._lanes))
        except TimeoutError as error:
            self.pause()
            raise LabError(
                f"Not every broker had {orders} orders within {within:g} s: {self.counts}.",
                remedy="check that the brokers run, or raise the rate",
            ) from error
        return self.counts

    async def stop(self) -> None:
        """End every task. Raises the first error that was not a broker's, if there was one."""
        errors = [await lane.stop() for lane in self._lanes]
        for error in errors:
            if error is not None:
                raise error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class _Lane:
    """One broker's orders. Its task publishes until it reaches its goal, then waits for a new one."""

    def __init__(self, shop: TakesOrders, traffic: Traffic) -> None:
        self.shop = shop
        self.count = Count(0, 0 if shop.confirms else None, 0, 0)
        self._traffic = traffic
        self._goal: float = 0
        self._last = 0.0
        self._woken = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._task: asyncio.Task[None] | None = None

    def aim(self, goal: float) -> None:
        self._goal = goal
        if self._wants_more():
            self._is_idle.clear()
            if self._task is None:
                self._task = asyncio.create_task(self._work(), name=f"traffic on {self.shop.broker}")
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def finished(self) -> None:
        await self._is_idle.wait()
        if self._task is not None and self._task.done():
            self._task.result()

    async def stop(self) -> Exception | None:
        task, self._task = self._task, None
        if task is None:
            return None
        task.cancel()
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        return error if isinstance(error, Exception) else None

    def _wants_more(self) -> bool:
        return self.count.attempted < self._goal

    async def _work(self) -> None:
        try:
            while True:
                await self._wait_for_goal()
                await self._wait_for_turn()
                if self._wants_more():
                    await self._publish_one()
        except Exception:
            log.exception("The traffic on %s failed; it publishes no more.", self.shop.broker)
            raise
        finally:
            self._is_idle.set()

    async def _wait_for_goal(self) -> None:
        while not self._wants_more():
            self._is_idle.set()
            await self._wait_for_wake(None)

    async def _wait_for_turn(self) -> None:
        while self._wants_more() and (seconds := self._next_turn() - time.monotonic()) > 0:
            await self._wait_for_wake(None if seconds == math.inf else seconds)
        await asyncio.sleep(0)  # a publish that never waits must not keep the loop from others

    async def _wait_for_wake(self, seconds: float | None) -> None:
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    def _next_turn(self) -> float:
        rate = self._traffic.rate
        return self._last + 1 / rate if rate > 0 else math.inf

    async def _publish_one(self) -> None:
        self._last = max(self._next_turn(), time.monotonic() - MOST_BEHIND)
        self.count.attempted += 1
        number = self.count.attempted
        try:
            await self.shop.publish(self._traffic.event_of(number), make_order(number))
        except PublishRefused:
            self.count.refused += 1
        except BrokerError:
            self.count.in_doubt += 1
        else:
            if self.count.confirmed is not None:
                self.count.confirmed += 1
