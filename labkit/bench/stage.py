"""Where one contestant works: its connections, a name of its own, and what it received."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from labkit.brokers import new_client
from labkit.events import Observer
from labkit.feed import Feed

__all__ = ["MessagesLost", "Received", "Stage", "reading"]

READINGS_A_SECOND = 20
"""How often the live picture looks at the feed."""

Opened = TypeVar("Opened")


class MessagesLost(Exception):
    """A contestant did not deliver what it had to. What was measured so is worth nothing."""


class Received:
    """The payloads that came, until they are all there."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._wanted = 0
        self._complete = asyncio.Event()

    def expect(self, count: int) -> None:
        """Forget what came before, and wait for this many from now on."""
        self.payloads.clear()
        self._wanted = count
        self._complete.clear()

    def take(self, payload: bytes) -> bool:
        """Keep a payload; return whether it was the last one."""
        self.payloads.append(payload)
        if len(self.payloads) < self._wanted:
            return False
        self._complete.set()
        return True

    async def complete(self, _count: int) -> None:
        """Wait until all are there: what a contestant with a handler does while it is measured."""
        await self._complete.wait()

    def check(self, sent: Sequence[bytes], who: str) -> None:
        """Raise ``MessagesLost`` unless exactly what was sent came."""
        missing, extra = Counter(sent), Counter(self.payloads)
        missing.subtract(extra)
        wrong = {payload: count for payload, count in missing.items() if count}
        if wrong:
            lost = sum(count for count in wrong.values() if count > 0)
            raise MessagesLost(
                f"{who}: of {len(sent)} messages {lost} did not come, {len(self.payloads)} came."
            )


class Stage:
    """One contestant's place in one cell. Everything it opens is closed with the stage, the last first."""

    def __init__(self, broker: str, url: str, name: str, observer: Observer | None = None) -> None:
        self.broker = broker
        self.url = url
        self.name = name
        self.observer = observer
        self.received = Received()
        self.finish: Callable[[], Awaitable[Any]] | None = None
        """What is awaited after the last message, inside the measured time: a flush where one is needed."""
        self._exits = AsyncExitStack()

    async def client(self) -> Any:
        """Return a client of the lab's own, connected, and observed as this contestant is."""
        return await self.enter(new_client(self.broker, self.url, self.observer))

    async def enter(self, context: AbstractAsyncContextManager[Opened]) -> Opened:
        """Enter this context until the stage is closed."""
        return await self._exits.enter_async_context(context)

    def at_close(self, close: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Await ``close(*arguments)`` when the stage is closed."""
        self._exits.push_async_callback(close, *arguments)

    async def started(self, native: Any) -> Any:
        """Start a native client that has ``start`` and ``stop``; stop it when the stage is closed."""
        self.at_close(native.stop)
        await native.start()
        return native

    async def background(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run this beside what is measured (a replier), until the stage is closed."""
        await self.enter(_running(work))

    async def close(self) -> None:
        """Close everything."""
        await self._exits.aclose()


@asynccontextmanager
async def reading(feed: Feed) -> AsyncIterator[None]:
    """Read the feed as the live picture does, as long as the context is entered."""

    async def read() -> None:
        while True:
            await asyncio.sleep(1 / READINGS_A_SECOND)
            feed.totals()
            feed.take_sample()

    async with _running(read):
        yield


@asynccontextmanager
async def _running(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    async def run() -> None:
        await work()

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
