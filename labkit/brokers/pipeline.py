"""Many messages under way at once: handed over one by one, answered whenever the broker gets to it."""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Any, Self

from labkit.brokers.channel import PublishMeters
from labkit.errors import PublishFailed, PublishRefused
from labkit.message import Message

__all__ = ["WINDOW", "Pipeline"]

WINDOW = 1000
"""Messages that may be unanswered before ``publish`` waits, unless somebody says otherwise."""


class Pipeline:
    """What every broker's pipeline shares: it counts the answers, and knows who is still without one.

    A channel's ``pipeline()`` makes one; its ``publish`` takes what the channel's own takes, and returns when
    the message is handed over. While ``window`` messages are unanswered it waits first. Leaving the
    ``async with`` waits for every answer, and raises the first ``PublishFailed`` if there was one.
    """

    def __init__(self, meters: PublishMeters | None, window: int) -> None:
        self.window = window
        self.confirmed = 0
        """Messages the broker has confirmed so far."""
        self.failed: list[PublishFailed] = []
        """Why messages were not confirmed, in the order the answers came."""
        self.unanswered = 0
        """Messages handed over and not answered yet."""
        self._meters = meters
        self._changed = asyncio.Event()

    async def room(self) -> None:
        """Wait until fewer than ``window`` messages are unanswered."""
        while self.unanswered >= self.window:
            await self._change()

    async def drain(self) -> None:
        """Wait until every message handed over was answered, one way or the other."""
        while self.unanswered:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _expect(self, answer: asyncio.Future[Any], message: Message | None) -> None:
        """Take note of a message that was handed over; ``message`` is None if nobody wants to know it."""
        self.unanswered += 1
        answer.add_done_callback(self._answered if message is None else partial(self._answered, message))

    def _answered(self, *arguments: Any) -> None:
        message = arguments[0] if len(arguments) == 2 else None
        self._settle(message, self._failure(arguments[-1]))

    def _settle(self, message: Message | None, failure: PublishFailed | None) -> None:
        """Take note of one answer; where the library has no future for it, a subclass calls this itself."""
        self.unanswered -= 1
        self._changed.set()
        if failure is None:
            self.confirmed += 1
        else:
            self.failed.append(failure)
        if message is not None and self._meters is not None:
            self._count(message, failure)

    def _count(self, message: Message, failure: PublishFailed | None) -> None:
        assert self._meters is not None
        if failure is None:
            self._meters.confirmed(message)
        elif isinstance(failure, PublishRefused):
            self._meters.refused(message)
        else:
            self._meters.in_doubt(message)

    def _failure(self, answer: asyncio.Future[Any]) -> PublishFailed | None:
        """Return what the native answer means; None if it is a confirm."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()
        if error is None and self.failed:
            raise self.failed[0]
