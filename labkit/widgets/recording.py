"""A live picture kept: what its page was told, batch by batch, to be played again without a broker.

A frame holds the seconds since the start and only what changed: totals and states of lanes, dots, captions.
Totals are cumulative, so what is true at a time is the last that was said before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from labkit.errors import LabError
from labkit.events import Kind
from labkit.topology import Lane, LaneQueue, LaneSubscriber
from labkit.widgets.recording_file import FORMAT, VERSION, read_recording, write_recording

__all__ = ["MOST_DOTS", "MOST_FRAMES", "Recording"]

MOST_FRAMES = 12_000
"""Batches in one recording: ten minutes of traffic. An idle picture has one a second."""
MOST_DOTS = 100_000
"""Dots are most of a recording; the totals do without them."""

Frame = dict[str, Any]


class Recording:
    """What a live picture showed: ``flow.record()`` begins one, ``Recording.load(path)`` reads one.

    ``brokers`` are the versions it was recorded on, ``left_out`` counts batches and dots that had no room.
    """

    def __init__(self, title: str = "", on_stop: Callable[[], None] | None = None) -> None:
        self.title = title
        self.recorded: date = datetime.now(UTC).date()
        self.brokers: dict[str, str] = {}
        self.frames: list[Frame] = []
        self.left_out = {"batches": 0, "dots": 0}
        self._on_stop = on_stop
        self._kinds = list(Kind)
        self._began = 0.0
        self._shown: list[dict[str, Any]] = []
        self._said: list[dict[str, Any]] = []
        self._caption: str | None = None
        self._dots = 0

    @property
    def is_recording(self) -> bool:
        """Whether it still grows."""
        return self._on_stop is not None

    @property
    def seconds(self) -> float:
        """From the first batch to the last."""
        return float(self.frames[-1]["at"]) if self.frames else 0.0

    def caption(self, words: str) -> None:
        """Say from now on, below the player's controls, what is happening; empty to say nothing."""
        self._caption = words

    def add(self, shown: Sequence[Mapping[str, Any]], batch: Mapping[str, Any]) -> None:
        """Keep one batch, and the lanes it is about, as the page gets them."""
        if len(self.frames) >= MOST_FRAMES:
            self.left_out["batches"] += 1
            return
        if not self.frames:
            self._began = batch["at"]
        frame: Frame = {"at": round(batch["at"] - self._began, 3)}
        if list(shown) != self._shown:
            frame["show"] = self._shown = [dict(lane) for lane in shown]
            self._said = [{} for _ in shown]
        parts = {
            "lanes": self._changed(batch["lanes"]),
            "dots": self._room_for(batch["dots"]),
            "changes": batch["changes"],
        }
        frame |= {name: part for name, part in parts.items() if part}
        if self._caption is not None:
            frame["caption"], self._caption = self._caption, None
        self.frames.append(frame)

    def _changed(self, lanes: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        changed = {
            str(at): {name: value for name, value in lane.items() if said.get(name, ...) != value}
            for at, (said, lane) in enumerate(zip(self._said, lanes, strict=True))
        }
        self._said = list(lanes)
        return {at: news for at, news in changed.items() if news}

    def _room_for(self, dots: Sequence[Sequence[Any]]) -> list[list[int]]:
        kept = dots[: MOST_DOTS - self._dots]
        self._dots += len(kept)
        self.left_out["dots"] += len(dots) - len(kept)
        return [[lane, self._kinds.index(kind), node, round(1000 * when)] for lane, kind, node, when in kept]

    def stop(self) -> None:
        """Record no more. What was recorded stays."""
        stop, self._on_stop = self._on_stop, None
        if stop is not None:
            stop()

    def at(self, seconds: float) -> list[dict[str, Any]]:
        """Return what each lane's numbers and state were at this time, in the words of a batch."""
        lanes: list[dict[str, Any]] = []
        for frame in self.frames:
            if frame["at"] > seconds and lanes:
                break
            if "show" in frame:
                lanes = [{} for _ in frame["show"]]
            for at, news in frame.get("lanes", {}).items():
                lanes[int(at)] |= news
        return lanes

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes it ends with."""
        shown: list[dict[str, Any]] = []
        for frame in self.frames:
            shown = frame.get("show", shown)
        return tuple(_lane(words) for words in shown)

    def data(self) -> dict[str, Any]:
        """Return it as it is kept in a file and given to a page. Raises ``LabError`` if it is empty."""
        if not self.frames:
            raise LabError(
                "Nothing was recorded: no batch has come yet.",
                remedy="let the kernel's loop run after flow.record(), say with await asyncio.sleep(1)",
            )
        return {
            "format": FORMAT,
            "version": VERSION,
            "title": self.title,
            "recorded": self.recorded.isoformat(),
            "brokers": self.brokers,
            "left_out": self.left_out,
            "kinds": self._kinds,
            "frames": self.frames,
        }

    def save(self, path: str | Path) -> Path:
        """Write it to a file, compressed if its name ends in ``.gz``, and return the path.

        It goes on recording; ``stop`` ends it. Raises ``LabError`` if nothing was recorded or the file cannot
        be written.
        """
        return write_recording(Path(path), self.data())

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Return the recording in a file. Raises ``LabError`` if it cannot be played."""
        data = read_recording(Path(path))
        recording = cls(data["title"])
        recording.recorded = date.fromisoformat(data["recorded"])
        recording.brokers, recording.left_out = data["brokers"], data["left_out"]
        recording._kinds, recording.frames = data["kinds"], data["frames"]
        return recording

    def to_html(self, path: str | Path, *, heading: str = "", intro: str = "") -> Path:
        """Write one HTML file that plays it in any browser, without kernel or network; return the path."""
        from labkit.widgets.recording_page import page

        path = Path(path)
        path.write_text(page(self, heading=heading, intro=intro), encoding="utf-8")
        return path

    def __repr__(self) -> str:
        names = ", ".join(f"{lane.broker} {lane.kind} {lane.name!r}" for lane in self.lanes)
        return f"<recording: {names or 'nothing yet'}>"


def _lane(words: Mapping[str, Any]) -> Lane:
    queues = [LaneQueue(name) for name in words["queues"]]
    subscribers = [
        LaneSubscriber(one["name"], one["filter"], None if one["queue"] is None else queues[one["queue"]])
        for one in words["subscribers"]
    ]
    return Lane(
        words["broker"],
        words["kind"],
        words["name"],
        tuple(subscribers),
        tuple(words["publishers"]),
        confirms=words["confirms"],
    )
