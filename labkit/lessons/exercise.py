"""An exercise: a task, a check that asks the broker, hints that come one at a time, a solution."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.brokers import TITLES
from labkit.errors import SetupError
from labkit.lessons.course import Course, ExerciseText, Lesson, read_course
from labkit.lessons.shown import Shown, Source, note

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Attempt", "Check", "Exercise", "Finding", "exercise"]


@dataclass(frozen=True)
class Finding:
    """What a check found: whether the task is done, and what the broker shows."""

    passed: bool
    shows: str


Attempt = Callable[[], Any]
"""The learner's function, plain or async."""

Check = Callable[["Lab", Any], Awaitable[Finding]]
"""Looks at the brokers of a lab after the learner's function returned a value."""


class Exercise:
    """One exercise in a lab. Make one with ``exercise``."""

    def __init__(self, lab: Lab, course: Course, lesson: Lesson, text: ExerciseText, check: Check) -> None:
        self.text = text
        self._lab = lab
        self._course = course
        self._lesson = lesson
        self._check = check
        self._has_failed = False
        self._hints_shown = 0

    async def check(self, attempt: Attempt) -> Shown:
        """Run the learner's function, then ask the broker whether the task is done."""
        missing = [broker for broker in self.text.brokers if broker not in self._lab.servers]
        if missing:
            return self._needs(missing[0])
        finding = await self._try(attempt)
        if finding.passed:
            return note("good", f"{self.text.name}: passed.", finding.shows)
        self._has_failed = True
        return note("bad", f"{self.text.name}: not yet.", finding.shows, "A hint is one cell below.")

    async def _try(self, attempt: Attempt) -> Finding:
        try:
            result = attempt()
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:  # the learner's own code; whatever it raised is feedback
            return Finding(False, f"Your function raised {type(error).__name__}: {error}")
        if result is None:
            return Finding(False, "Your function returns nothing yet, so there is nothing to look at.")
        return await self._check(self._lab, result)

    def _needs(self, broker: str) -> Shown:
        missing = self._lab.missing.get(broker)
        remedy = f"To get it: `{missing.remedy}`." if missing else "Start a lab that has it."
        return note("plain", f"{self.text.name} needs {TITLES[broker]}, which is not running.", remedy)

    def hint(self) -> Shown:
        """Return the next hint; the first after a failed check, and the last again and again."""
        hints = self.text.hints
        if not self._has_failed:
            return note("plain", "Try it first.", "Hints come after a check that failed.")
        self._hints_shown = min(self._hints_shown + 1, len(hints))
        return note("plain", f"Hint {self._hints_shown} of {len(hints)}", hints[self._hints_shown - 1])

    def reveal(self) -> Source:
        """Return the solution. Better after the last hint."""
        notebook = json.loads(self._course.solutions(self._lesson).read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if {"solution", self.text.name} <= set(cell["metadata"].get("tags", [])):
                return Source("".join(cell["source"]))
        raise SetupError(f"The solution of {self.text.name} is not in this checkout.")

    def __repr__(self) -> str:
        return f"<exercise {self.text.name}: {self.text.aim}>"


def exercise(name: str, lab: Lab) -> Exercise:
    """Return the exercise of this name, checked against the brokers of this lab."""
    from labkit.lessons.checks import CHECKS

    course = read_course()
    lesson, text = course.find(name)
    return Exercise(lab, course, lesson, text, CHECKS[name])
