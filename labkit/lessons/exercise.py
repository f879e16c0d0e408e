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
from labkit.lessons.progress import note_hint, note_passed, read_progress
from labkit.lessons.shown import Shown, Source, note

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Attempt", "Check", "Exercise", "Finding", "Hints", "exercise", "solution_of"]


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
        self._hints = Hints(text)

    async def check(self, attempt: Attempt) -> Shown:
        """Run the learner's function, then ask the broker whether the task is done."""
        missing = [broker for broker in self.text.brokers if broker not in self._lab.servers]
        if missing:
            return self._needs(missing[0])
        finding = await self._try(attempt)
        if finding.passed:
            note_passed(self.text.name)
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
        if not self._has_failed:
            return note("plain", "Try it first.", "Hints come after a check that failed.")
        return self._hints.next()

    def reveal(self) -> Source:
        """Return the solution. Better after the last hint."""
        return Source(solution_of(self._course, self._lesson, self.text))

    def __repr__(self) -> str:
        return f"<exercise {self.text.name}: {self.text.aim}>"


class Hints:
    """An exercise's hints, one at a time. A notebook and `labkit lessons hint` go on where the other was."""

    def __init__(self, text: ExerciseText) -> None:
        self._text = text
        self._shown = 0

    def next(self) -> Shown:
        """Return the next hint; the last again and again."""
        name, hints = self._text.name, self._text.hints
        shown_before = max(self._shown, read_progress().hints.get(name, 0))
        self._shown = min(shown_before + 1, len(hints))
        note_hint(name, self._shown)
        return note("plain", f"Hint {self._shown} of {len(hints)}", hints[self._shown - 1])


def solution_of(course: Course, lesson: Lesson, text: ExerciseText) -> str:
    """Return the source of an exercise's solution. Raises ``SetupError`` if the course has none."""
    notebook = json.loads(course.solutions(lesson).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if {"solution", text.name} <= set(cell["metadata"].get("tags", [])):
            return "".join(cell["source"])
    raise SetupError(f"The solution of {text.name} is not in this checkout.")


def exercise(name: str, lab: Lab) -> Exercise:
    """Return the exercise of this name, checked against the brokers of this lab."""
    from labkit.lessons.checks import CHECKS

    course = read_course()
    lesson, text = course.find(name)
    return Exercise(lab, course, lesson, text, CHECKS[name])
