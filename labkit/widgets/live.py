"""What every live widget shares: a page that says it is there, ticks, callbacks of the lesson's."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from labkit.feed import Feed
from labkit.widgets.page import PageWidget
from labkit.widgets.pump import Pump, Reading

__all__ = ["LiveWidget"]

Callback = Callable[..., Awaitable[object] | object]

log = logging.getLogger("labkit")
_pumps: WeakKeyDictionary[asyncio.AbstractEventLoop, Pump] = WeakKeyDictionary()


class LiveWidget(PageWidget):
    """A widget that is told what is new while a page shows it."""

    feed: Feed | None = None

    def __init__(self, **traits: Any) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        super().__init__(**traits)

    def heard(self, content: Mapping[str, Any]) -> None:
        if self._is_stopped:
            self.say_stopped()
        elif content["type"] == "watching":
            if content.get("new"):
                self.greet()
            self._pump().watch(self)
        else:
            self.received(content)

    def _pump(self) -> Pump:
        assert self._loop is not None
        return _pumps.setdefault(self._loop, Pump())

    def greet(self) -> None:
        """A page has just opened: make the next tick tell everything."""

    def received(self, content: Mapping[str, Any]) -> None:
        """Act on a click or a key."""

    def tick(self, reading: Reading) -> None:
        """Look around, and tell the page what is new. Called by the pump."""
        self.tell(reading)

    def tell(self, reading: Reading) -> None:
        """Tell the page what is new."""
        raise NotImplementedError

    def show_error(self, error: BaseException) -> None:
        """Say in the widget what went wrong."""
        self.send({"type": "error", "text": f"{type(error).__name__}: {error}"})

    def say_stopped(self) -> None:
        """Tell the page the last numbers, and that no more will come."""
        self.greet()
        self.tell(Reading(perf_counter(), self.feed.totals() if self.feed else {}, ()))
        self.send({"type": "stopped"})

    def run_callback(self, callback: Callback, *arguments: object) -> None:
        """Call something of the lesson's on the main loop; what it raises is shown in the widget."""
        self.own(self._call(callback, *arguments))

    async def _call(self, callback: Callback, *arguments: object) -> None:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result

    def own(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine as a task of this widget's; an error in it is logged and shown."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("A callback of %r failed: %s", self, error, exc_info=error)
            self.show_error(error)

    def stop(self) -> None:
        """End everything this widget runs. The page keeps showing the last numbers."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._loop is not None and self._loop in _pumps:
            _pumps[self._loop].forget(self)
        for task in self._tasks:
            task.cancel()
        self.say_stopped()
