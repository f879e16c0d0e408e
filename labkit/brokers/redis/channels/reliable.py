"""A worker that keeps what it took in a list of its own until it is done with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.redis.errors import LOST, settle
from labkit.brokers.redis.reader import BLOCK_SECONDS, RECONNECT_SECONDS, ReadingSubscription
from labkit.errors import BrokerError, SettleFailed
from labkit.events import Kind
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.redis.channels.list import RedisList

__all__ = ["ListDelivery", "ReliableSubscription"]

MOVE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call(ARGV[2], KEYS[2], ARGV[1])
return 1
"""
"""Moves one element from a worker's list to another list, unless the worker does not have it any more."""


class ListDelivery(OpenDelivery):
    """An element that a worker took, and that is in the worker's own list until it is settled.

    Redis finds it there by its value: of two elements alike, either is removed, which comes to the same.
    """

    __slots__ = ("_subscription",)

    def __init__(
        self, data: bytes, subscription: ReliableSubscription, redelivered: bool | None = None
    ) -> None:
        super().__init__(data, subscription.read, redelivered)
        self._subscription = subscription

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native)

    async def ack(self) -> None:
        """Remove it from the worker's list (LREM): it is done with.

        Raises ``SettleFailed`` if it is not there any more, because a reaper took this worker for dead.
        """
        if not self.is_settled:
            await self._remove("LREM", self._subscription.held_by, 1, self.native)
            self._subscription.count(self, Kind.SETTLED)

    async def give_back(self) -> None:
        """Put it back into the queue, where it is the next to be taken. Raises ``SettleFailed`` likewise."""
        if not self.is_settled:
            await self._move(self._subscription.channel.name, "RPUSH")

    async def dead_letter(self) -> None:
        """Put it aside, into the list ``<name>.dlq``. Raises ``SettleFailed`` likewise."""
        if not self.is_settled:
            await self._move(self._subscription.channel.dead_letters, "LPUSH")
            self._subscription.count(self, Kind.DEAD_LETTERED)

    async def _move(self, target: str, command: str) -> None:
        keys = self._subscription.held_by, target
        await self._remove("EVAL", MOVE, len(keys), *keys, self.native, command)

    def _not_taken(self) -> str:
        return f"Redis did not take what {self._subscription.name} says of {self}"

    async def _remove(self, *command: Any) -> None:
        subscription = self._subscription
        remedy = "a reaper gives it to another worker; choose a longer lease"
        try:
            if not await settle(subscription.channel.client, command, self._not_taken, remedy):
                what = f"{subscription.name} does not have {self} any more: it was taken for dead."
                raise SettleFailed(what, broker="redis", remedy=remedy)
            self.is_settled = True
        finally:
            subscription.forget(self)


class ReliableSubscription(ReadingSubscription[ListDelivery]):
    """A worker that is handed elements one at a time, and shows that it lives."""

    channel: RedisList

    def __init__(self, channel: RedisList, name: str, lease: float) -> None:
        super().__init__(channel, name)
        self.lease = lease
        self.held_by = channel.held_by(name)
        """The name of the list of what this worker took."""
        self.read = partial(_read, channel.name)
        self._held: set[ListDelivery] = set()
        """What was handed over here and not settled: no need to hand it over again."""
        self._heart: asyncio.Task[None] | None = None

    async def _recover(self) -> None:
        await self._beat()
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat_on(), name=f"heartbeat of {self.place}")
        what = f"Redis did not tell what {self.name} has of {self.channel.name!r}"
        there = await self.channel.client.ask(what, "LRANGE", self.held_by, 0, -1)
        for delivery in self._ready:
            self.forget(delivery)
        self._ready.clear()
        held = Counter(delivery.data for delivery in self._held)
        for data in reversed(there):  # the oldest is at the end
            if held[data]:
                held[data] -= 1
            else:
                self._add(data, redelivered=True)

    async def _beat(self) -> None:
        """Show that this worker lives, and where its elements are."""
        client, channel = self.channel.client, self.channel
        what = f"Redis did not hear that {self.name} lives"
        await client.ask(what, "SADD", channel.registry, self.name)
        await client.ask(what, "SET", channel.alive(self.name), 1, "PX", int(self.lease * 1000))

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3)
            try:
                await self._beat()
            except LOST:  # it beats again when the broker is back
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _before_reading(self) -> None:
        if self._heart is not None and self._heart.done():
            self._heart.result()  # raises why it beats no more

    def _command(self) -> tuple[Any, ...]:
        return ("BLMOVE", self.channel.name, self.held_by, "RIGHT", "LEFT", BLOCK_SECONDS)

    async def _take(self, reply: Any) -> None:
        self._add(reply, redelivered=None)

    def _add(self, data: bytes, redelivered: bool | None) -> None:
        delivery = ListDelivery(data, self, redelivered)
        self._held.add(delivery)
        self._ready.append(delivery)

    async def _put_back(self, reply: Any) -> None:
        keys = self.held_by, self.channel.name
        await self._try_to_put_back("EVAL", MOVE, len(keys), *keys, reply, "RPUSH")

    async def stop_beating(self) -> None:
        """Be heard of no more, as happens to work that keeps the event loop busy."""
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
            self._heart = None

    async def abandon(self) -> None:
        """End as a program does that is killed: it is not heard of any more, and keeps what it has."""
        await self.stop_beating()
        await super().abandon()
        self._held.clear()

    async def _unsubscribe(self) -> None:
        await self.stop_beating()
        await super()._unsubscribe()
        self._held.clear()
        with suppress(BrokerError):  # its lease runs out by itself
            what = f"Redis did not hear that {self.name} left"
            await self.channel.client.ask(what, "DEL", self.channel.alive(self.name))

    def forget(self, delivery: ListDelivery) -> None:
        """Take note that this delivery is settled, or cannot be any more."""
        self._held.discard(delivery)

    def count(self, delivery: ListDelivery, kind: Kind) -> None:
        """Count what became of a delivery."""
        is_usual = kind is Kind.SETTLED
        meter = self._settled if is_usual else self.channel.client.meter(kind, self.channel.name, self.name)
        if meter is not None:
            meter(delivery.message)


def _read(channel: str, data: bytes) -> Message:
    return Message(data, channel, native=data)
