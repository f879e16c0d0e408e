"""Sliders that change what runs: a worker more, a slower subscriber, a smaller window."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets

from labkit.errors import LabError
from labkit.lessons.shown import table
from labkit.widgets.bundle import style
from labkit.widgets.page import PageWidget

__all__ = ["Dial", "Dials", "dials"]

HERE = Path(__file__).parent
OnChange = Callable[[Any], object]


@dataclass(frozen=True)
class Dial:
    """One slider: from ``low`` to ``high`` in steps. ``on_change`` gets the new value; it may be async.

    Values are whole numbers where ``low``, ``high`` and ``step`` are. What is beyond an end is the end.
    """

    label: str
    low: float
    high: float
    value: float | None = None
    step: float = 1
    unit: str = ""
    on_change: OnChange | None = None

    def __post_init__(self) -> None:
        if not (self.low < self.high and self.step > 0):
            raise LabError(
                f"{self.label}: there is nothing to turn.", remedy="low < high, and a step above 0"
            )
        start = self.low if self.value is None else self.value
        object.__setattr__(self, "value", self.nearest(start))

    def nearest(self, wanted: float) -> float:
        """Return the value of this dial that is nearest. Raises ``LabError`` if it is no number."""
        if not isinstance(wanted, int | float) or math.isnan(wanted):
            raise LabError(f"{self.label} is no number: {wanted!r}.", remedy=f"{self.low} to {self.high}")
        inside = min(max(wanted, self.low), self.high)
        turned = self.low + round((inside - self.low) / self.step) * self.step
        if all(isinstance(one, int) for one in (self.low, self.high, self.step)):
            return int(min(turned, self.high))
        return round(min(turned, self.high), 9)  # no 0.30000000000000004

    def told(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{value:g} {self.unit}".strip()


class Dials(PageWidget):
    """Some sliders. Make them with ``dials``.

    An async ``on_change`` runs on the main loop, one call at a time; of the values that came meanwhile, only
    the last is passed on. What it raises is shown below the sliders.
    """

    _esm = HERE / "dials.js"
    _css = style("tokens") + (HERE / "dials.css").read_text(encoding="utf-8")

    scales: Any = traitlets.List().tag(sync=True)
    values: Any = traitlets.Dict().tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)

    def __init__(self, *given: Dial) -> None:
        self._dials = {dial.label: dial for dial in given}
        if len(self._dials) < len(given):
            raise LabError("Two dials have the same label.", remedy="give each its own")
        self._waiting: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        scales = [
            {"label": one.label, "low": one.low, "high": one.high, "step": one.step, "unit": one.unit}
            for one in given
        ]
        super().__init__(scales=scales, values={dial.label: dial.value for dial in given})

    def __getitem__(self, label: str) -> float:
        """Return where a dial stands now."""
        value: float = self.values[self._dial(label).label]
        return value

    def set(self, label: str, value: float) -> None:
        """Turn a dial, as a hand on the slider does. Raises ``LabError`` if there is none of this label."""
        dial = self._dial(label)
        value = dial.nearest(value)
        self.values = {**self.values, label: value}
        self.error = ""
        if dial.on_change is not None:
            self._call(dial, value)

    async def settled(self) -> None:
        """Wait until every ``on_change`` has ended. Raises ``LabError`` if the last turn of a dial failed."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
        if self.error:
            raise LabError(self.error)

    def heard(self, content: Mapping[str, Any]) -> None:
        self.set(content["label"], content["value"])

    def _dial(self, label: str) -> Dial:
        if label not in self._dials:
            raise LabError(f"There is no dial {label!r}.", remedy=f"one of: {', '.join(self._dials)}")
        return self._dials[label]

    def _call(self, dial: Dial, value: float) -> None:
        if dial.label in self._running:
            self._waiting[dial.label] = value  # it goes on with this one
            return
        assert dial.on_change is not None
        try:
            result = dial.on_change(value)
        except Exception as error:  # the learner's own code; whatever it raised belongs to this dial
            self._show(dial, error)
            return
        if inspect.isawaitable(result):
            self._running[dial.label] = asyncio.ensure_future(self._follow(dial, result))

    async def _follow(self, dial: Dial, result: Any) -> None:
        """Wait for one call, then make another if the dial was turned meanwhile."""
        try:
            await result
        except Exception as error:  # likewise
            self._show(dial, error)
        finally:
            del self._running[dial.label]
        if dial.label in self._waiting:
            self._call(dial, self._waiting.pop(dial.label))

    def _show(self, dial: Dial, error: Exception) -> None:
        self.error = f"{dial.label}: {type(error).__name__}: {error}"

    def __repr__(self) -> str:
        return f"<dials: {', '.join(f'{one.label} {self._told(one)}' for one in self._dials.values())}>"

    def _told(self, dial: Dial) -> str:
        return dial.told(self.values[dial.label])

    def fallback(self) -> str:
        return table(
            {
                "Slider": one.label,
                "Stands at": self._told(one),
                "From": one.told(one.low),
                "To": one.told(one.high),
            }
            for one in self._dials.values()
        ).html


def dials(*given: Dial) -> Dials:
    """Show sliders that call a function with each new value.

        dials(Dial("Workers", 1, 6, value=2, on_change=pool.resize))

    ``.set("Workers", 4)`` turns one from code, and ``await settled()`` waits for what that started.
    """
    return Dials(*given)
