"""The live picture: real messages on their way through real brokers.

The page draws; this file tells it what is new, twenty times a second, and does what its controls ask for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import traitlets

from labkit.errors import LabError
from labkit.feed import Feed
from labkit.servers.server import Server, State
from labkit.topology import Lane, LaneQueue
from labkit.widgets.bundle import script, style
from labkit.widgets.flow_batch import choose_dots, lane_counts, lane_words
from labkit.widgets.flow_snapshot import FlowSnapshot, flow_image
from labkit.widgets.live import Callback, LiveWidget
from labkit.widgets.pump import Reading
from labkit.widgets.recording import Recording

__all__ = ["RATES", "MessageFlow"]

RATES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The slider's stops, in messages a second on each broker."""

HEARTBEAT_SECONDS = 1.0
DEPTH_SECONDS = 0.5
"""How often the depth of a queue is asked for, and how long an answer may take."""


class MessageFlow(LiveWidget):
    """A row for each lane: publishers, channel, queues, subscribers. Dots are messages, numbers true totals.

    ``feed`` is what is counted, ``servers`` says how the brokers are. ``on_rate(rate)``, ``on_kill(broker)``
    and ``on_restart(broker)`` are called on the kernel's main loop when somebody uses the controls; they may
    be coroutine functions, and what they raise is shown in the picture. A control without a callback is not
    there.
    """

    _esm = script("message_flow")
    _css = style("tokens", "message_flow")

    title = traitlets.Unicode().tag(sync=True)
    lanes_shown = traitlets.List(traitlets.Dict()).tag(sync=True)
    rates = traitlets.List(traitlets.Float()).tag(sync=True)
    rate = traitlets.Float(allow_none=True).tag(sync=True)
    can = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        feed: Feed,
        servers: Mapping[str, Server],
        title: str = "",
        rate: float = 0,
        rates: Sequence[float] = RATES,
        on_rate: Callback | None = None,
        on_kill: Callback | None = None,
        on_restart: Callback | None = None,
    ) -> None:
        callbacks = {"rate": on_rate, "kill": on_kill, "restart": on_restart}
        self._callbacks = {name: callback for name, callback in callbacks.items() if callback is not None}
        self.feed = feed
        self._servers = servers
        self._depths: dict[LaneQueue, int | None] = {}
        self._depth_task: asyncio.Task[None] | None = None
        self._changes: list[list[Any]] = []
        self._recordings: list[Recording] = []
        self._unobserve: dict[str, Callable[[], None]] = {}
        self._said: dict[str, Any] = {}
        self._said_at = perf_counter()
        super().__init__(title=title, rates=sorted({*rates, rate}), rate=rate, can=list(self._callbacks))
        self.show(*lanes)

    def show(self, *lanes: Lane) -> None:
        """Draw these lanes from now on; say again with one subscriber more, and it joins the picture."""
        if not lanes:
            raise LabError(
                "A picture needs at least one lane.", remedy="MessageFlow([Lane.of(channel, ...)])"
            )
        self.lanes = tuple(lanes)
        self.lanes_shown = [lane_words(lane) for lane in self.lanes]
        self.greet()

    def greet(self) -> None:
        self._said = {}

    def tick(self, reading: Reading) -> None:
        self._observe_servers()
        self._poll_depths()
        self.tell(reading)

    def tell(self, reading: Reading) -> None:
        news = self._news(reading)
        dots = choose_dots(self.lanes, reading.sample, self._said_at, reading.at)
        is_new = news != self._said or dots or self._changes
        if is_new or reading.at - self._said_at >= HEARTBEAT_SECONDS:
            changes, self._changes = self._changes, []
            batch = {"type": "batch", "at": reading.at, **news, "dots": dots, "changes": changes}
            self.send(batch)
            for recording in self._recordings:
                recording.add(self.lanes_shown, batch)
            self._said = news
            self._said_at = reading.at

    def _news(self, reading: Reading) -> dict[str, Any]:
        return {"lanes": [self._lane_news(lane, reading) for lane in self.lanes]}

    def _lane_news(self, lane: Lane, reading: Reading) -> dict[str, Any]:
        server = self._servers.get(lane.broker)
        return {
            **lane_counts(lane, reading.totals),
            "state": server.state if server else State.STOPPED,
            "ready_in": server.ready_in if server else None,
            "listening": [one.listens is None or one.listens() for one in lane.subscribers],
            "depths": [self._depths.get(queue) for queue in lane.queues],
        }

    def _observe_servers(self) -> None:
        """Hear of every change of state, also of one that is over before the next batch."""
        for broker, server in self._servers.items():
            if broker not in self._unobserve:
                self._unobserve[broker] = server.on_change(self._server_changed)

    def _server_changed(self, server: Server) -> None:
        self._changes.append([server.broker, server.state])

    def _poll_depths(self) -> None:
        if any(lane.queues for lane in self.lanes) and (self._depth_task is None or self._depth_task.done()):
            self._depth_task = self.own(self._ask_depths())

    async def _ask_depths(self) -> None:
        for lane in self.lanes:
            server = self._servers.get(lane.broker)
            is_up = server is not None and server.state == State.RUNNING
            for queue in lane.queues:
                self._depths[queue] = await _depth(queue) if is_up else None
        await asyncio.sleep(DEPTH_SECONDS)

    def received(self, content: Mapping[str, Any]) -> None:
        kind = content["type"]
        if kind == "rate":
            self.rate = float(content["rate"])
            self.run_callback(self._callbacks[kind], self.rate)
        else:
            self.run_callback(self._callbacks[kind], content["broker"])

    def record(self) -> Recording:
        """Begin to record what this picture shows, whether a page shows it or not, and return the recording.

        It grows while the loop runs, until ``recording.stop()``, the end of the picture, or ten minutes of
        traffic; ``recording.save(path)`` keeps it, ``play(path)`` shows it.

        Raises ``LabError`` if the picture is stopped, or was made without a running loop.
        """
        if self._is_stopped or self._loop is None:
            why = "is stopped" if self._is_stopped else "was made where no event loop runs"
            raise LabError(
                f"Nothing to record: {self!r} {why}.", remedy="call lab.flow(...).record() in a cell"
            )
        recording = Recording(self.title, on_stop=lambda: self._recorded(recording))
        versions = {lane.broker: self._servers.get(lane.broker) for lane in self.lanes}
        recording.brokers = {broker: server.version for broker, server in versions.items() if server}
        self._recordings.append(recording)
        self.greet()
        self._pump().watch(self, math.inf)
        return recording

    def _recorded(self, recording: Recording) -> None:
        self._recordings.remove(recording)
        if not self._recordings and not self._is_stopped:
            self._pump().forget(self)
            self._pump().watch(self)  # a page may still show it, and says so every two seconds

    def stop(self) -> None:
        super().stop()
        for recording in list(self._recordings):
            recording.stop()
        for unobserve in self._unobserve.values():
            unobserve()
        self._unobserve.clear()

    def snapshot(self) -> FlowSnapshot:
        """Return the picture and its totals as they are now, to be kept in a saved notebook."""
        assert self.feed is not None
        totals = self.feed.totals()
        return FlowSnapshot(self.title, self.lanes, tuple(lane_counts(lane, totals) for lane in self.lanes))

    def fallback(self) -> str:
        return flow_image(self.lanes, title=self.title)

    def __repr__(self) -> str:
        names = ", ".join(f"{lane.broker} {lane.kind} {lane.name!r}" for lane in self.lanes)
        return f"<live picture: {names}>"


async def _depth(queue: LaneQueue) -> int | None:
    if queue.depth is None:
        return None
    try:
        async with asyncio.timeout(DEPTH_SECONDS):
            return await queue.depth()
    except (LabError, TimeoutError):
        return None  # the broker is just going or coming; the picture says "?"
