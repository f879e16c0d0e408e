"""One task that keeps every watched widget of this kernel up to date.

A widget is watched while a page shows it: the page says so every two seconds. Nobody watching, nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from labkit.events import Event, Kind, Place
from labkit.feed import Feed

__all__ = ["BATCHES_A_SECOND", "Pump", "Reading", "Watched"]

BATCHES_A_SECOND = 20
WATCH_SECONDS = 7.0
"""How long a widget counts as watched after a page last said that it shows it."""

log = logging.getLogger("labkit")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a feed said at one moment. ``at`` is ``time.perf_counter()`` in seconds."""

    at: float
    totals: Mapping[Place, Mapping[Kind, int]]
    sample: Sequence[Event]


class Watched(Protocol):
    """A widget the pump serves. It has a feed, or none and gets empty readings."""

    feed: Feed | None

    def tick(self, reading: Reading) -> None:
        """Tell the page what is new. Called twenty times a second; never blocks."""
        ...

    def show_error(self, error: BaseException) -> None:
        """Tell the page what went wrong."""
        ...


class Pump:
    """Serves the widgets of one event loop; its task lives while at least one of them is watched."""

    def __init__(self) -> None:
        self._watched_until: dict[Watched, float] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether anybody is watched."""
        return self._task is not None and not self._task.done()

    def watch(self, widget: Watched, seconds: float = WATCH_SECONDS) -> None:
        """Serve this widget for the next seconds; called again and again while a page shows it."""
        known = self._watched_until.get(widget, 0.0)
        self._watched_until[widget] = max(known, perf_counter() + seconds)
        if not self.is_running:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="widget pump")

    def forget(self, widget: Watched) -> None:
        """Serve this widget no more."""
        self._watched_until.pop(widget, None)

    async def _run(self) -> None:
        # A sleep and not a schedule: after a cell that blocked the loop there is nothing to catch up with.
        while self._watched_until:
            self._serve(perf_counter())
            await asyncio.sleep(1 / BATCHES_A_SECOND)

    def _serve(self, now: float) -> None:
        for widget in [one for one, until in self._watched_until.items() if until < now]:
            self.forget(widget)
        # Taking a sample empties it, so widgets of one feed share a reading.
        readings: dict[Feed | None, Reading] = {}
        for widget in list(self._watched_until):
            try:
                if widget.feed not in readings:
                    readings[widget.feed] = _read(widget.feed, now)
                widget.tick(readings[widget.feed])
            except Exception as error:
                self.forget(widget)
                self._report(widget, error)

    def _report(self, widget: Watched, error: Exception) -> None:
        log.error("%r stopped: %s", widget, error, exc_info=error)
        try:
            widget.show_error(error)
        except Exception:
            log.exception("%r could not even show why.", widget)


def _read(feed: Feed | None, now: float) -> Reading:
    return Reading(now, feed.totals(), feed.take_sample()) if feed else Reading(now, {}, ())
