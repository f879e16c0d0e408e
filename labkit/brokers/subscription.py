"""What every subscription shares: deliveries one by one, or a handler in the background."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import CoroutineType, TracebackType
from typing import Generic, Self, TypeVar

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.inbox import Inbox
from labkit.errors import BrokerError, ChannelClosed
from labkit.events import Kind, Meter, Place

__all__ = ["InboxSubscription", "Subscription"]

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)
Handler = Callable[[AnyDelivery], Awaitable[None] | None]

log = logging.getLogger("labkit")


class Subscription(ABC, Generic[AnyDelivery]):
    """Somebody who wants what is published on a channel.

    Open it (``async with`` or ``open()``); then either iterate over it or give it a handler with ``run``.
    It is counted in the feed at ``place``, at the moment the subscriber is handed a message.
    """

    def __init__(self, channel: Channel, name: str, *, filter: str = "") -> None:
        self.channel = channel
        self.name = name
        self.filter = filter
        self.error: Exception | None = None
        """What the handler raised, if it did; ``close`` raises it again."""
        self._handler: Handler[AnyDelivery] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._is_open = False
        self._is_settling = False
        self._was_cut_short = False
        """Whether ``close`` ended the handler's task, and with it the handler, if it was at work."""
        meter = channel.client.meter
        self._delivered: Meter | None = meter(Kind.DELIVERED, channel.name, name)
        self._redelivered: Meter | None = meter(Kind.REDELIVERED, channel.name, name)
        self._settled: Meter | None = meter(Kind.SETTLED, channel.name, name)

    @property
    def place(self) -> Place:
        """Where the feed counts this subscriber."""
        return Place(self.channel.broker, self.channel.name, self.name)

    @property
    def is_open(self) -> bool:
        """Whether the broker was told of this subscriber, and not yet told to forget it."""
        return self._is_open

    async def open(self) -> Self:
        """Subscribe; returns when the broker has registered it. Raises ``BrokerError`` if it does not."""
        if not self._is_open:
            self.channel.client.require_open()
            self.channel.client.adopt(self)
            try:
                await self._subscribe()
            except BaseException:
                self.channel.client.release(self)
                raise
            self._is_open = True
            if self._handler is not None:
                self._start_worker(self._handler)
        return self

    async def close(self) -> None:
        """Unsubscribe and end the handler's task. Raises what the handler raised, if it did."""
        error = await self.shut()
        if error is not None:
            raise error

    async def shut(self) -> Exception | None:
        """Close, and return the handler's error instead of raising it."""
        if not self._is_open:
            return None
        self._is_open = False
        self.channel.client.release(self)
        await self._end_worker()
        await self._unsubscribe()
        error, self.error = self.error, None
        return error

    def run(self, handler: Handler[AnyDelivery]) -> Self:
        """Call ``handler(delivery)`` for each delivery, one after another, in a task this subscription owns.

        It begins when the subscription is open: ``async with channel.subscribe("billing").run(handler):``.
        The handler may be a coroutine function. Where the broker wants an acknowledgement, a delivery is
        acknowledged when the handler has returned. An error in the handler ends the task; it is logged, kept
        in ``error``, and raised by ``close``.
        """
        if self._handler is not None:
            raise BrokerError(f"{self.name} already has a handler.", broker=self.channel.broker)
        self._handler = handler
        if self._is_open:
            self._start_worker(handler)
        return self

    def _start_worker(self, handler: Handler[AnyDelivery]) -> None:
        self._worker = asyncio.create_task(self._work(handler), name=f"{self.place}")

    async def _work(self, handler: Handler[AnyDelivery]) -> None:
        try:
            while self._is_open:
                # As ``async for`` would, with a coroutine less for each message that is here already.
                delivery = self._at_hand() or await self._next()
                if delivery is None:
                    break
                if self._delivered is not None:
                    self._count(delivery)
                result = handler(delivery)
                if result is not None and (type(result) is CoroutineType or inspect.isawaitable(result)):
                    await result
                settling = self._settle(delivery)
                if settling is not None:
                    self._is_settling = True
                    try:
                        await settling
                    except BrokerError as error:  # the handler is not to blame, and goes on
                        log.info("%s was not acknowledged, and may come again: %s", delivery, error)
                    self._is_settling = False
        except Exception as error:
            self.error = error
            log.exception("The handler of %s failed; it gets no more messages.", self.place)

    async def _end_worker(self) -> None:
        worker, self._worker, self._handler = self._worker, None, None
        self._was_cut_short = False
        if worker is not None and worker is not asyncio.current_task():
            if not self._is_settling:  # what is done shall not come again because we close
                worker.cancel()
            await asyncio.wait([worker])
            self._was_cut_short = worker.cancelled()

    def _settle(self, delivery: AnyDelivery) -> Awaitable[None] | None:
        """Tell the broker that this delivery is done; None where there is no such thing."""
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyDelivery:
        if not self._is_open:
            raise self._closed_error()
        delivery = self._at_hand() or await self._next()
        if delivery is None:
            raise StopAsyncIteration
        if self._delivered is not None:
            self._count(delivery)
        return delivery

    def _count(self, delivery: AnyDelivery) -> None:
        meter = self._redelivered if delivery.redelivered else self._delivered
        if meter is not None:
            meter(delivery.message)

    def _closed_error(self) -> ChannelClosed:
        return ChannelClosed(
            f"The subscription {self.name} on {self.channel.name} is not open.",
            broker=self.channel.broker,
            remedy="`async with subscription:` or `await subscription.open()`",
        )

    @abstractmethod
    async def _subscribe(self) -> None: ...

    @abstractmethod
    async def _unsubscribe(self) -> None: ...

    def _at_hand(self) -> AnyDelivery | None:
        """Return the next delivery if it is here already, without a coroutine; None: wait for ``_next``."""
        return None

    @abstractmethod
    async def _next(self) -> AnyDelivery | None:
        """Wait for the next delivery; None when the subscription was closed meanwhile."""

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<subscription {self.place} {'open' if self._is_open else 'closed'}>"


class InboxSubscription(Subscription[AnyDelivery]):
    """A subscription whose client library pushes messages; they wait here until the subscriber is ready.

    The inbox is bounded. Full, it makes the library wait, so the broker's own limits for slow subscribers
    still hold.
    """

    INBOX = 1000

    def __init__(self, channel: Channel, name: str, *, filter: str = "") -> None:
        super().__init__(channel, name, filter=filter)
        self._inbox: Inbox[AnyDelivery | None] = Inbox(self.INBOX)

    async def _next(self) -> AnyDelivery | None:
        inbox = self._inbox
        return await inbox.get() if inbox.empty() else inbox.get_nowait()

    async def shut(self) -> Exception | None:
        error = await super().shut()
        self.empty_inbox()
        self._inbox.put_nowait(None)  # whoever still waits for a delivery learns that there will be none
        return error

    def empty_inbox(self) -> None:
        """Drop what waits to be handed to the subscriber."""
        self._inbox.clear()
