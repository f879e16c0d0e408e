"""The course as ``notebooks/lessons.toml`` tells it: lessons in order, their exercises and hints."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import SetupError
from labkit.lessons.shown import Shown, table

__all__ = ["Course", "ExerciseText", "Lesson", "course_folder", "course_map", "read_course"]

COURSE_FILE = "lessons.toml"


@dataclass(frozen=True)
class ExerciseText:
    """What the course says about one exercise."""

    name: str
    aim: str
    brokers: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """One lesson: ``file`` is its notebook's name without ``.ipynb``; ``minutes`` is a newcomer's time."""

    file: str
    title: str
    aim: str
    minutes: int
    brokers: tuple[str, ...]
    exercises: tuple[ExerciseText, ...]


@dataclass(frozen=True)
class Course:
    """All lessons in order, and the folder that holds their notebooks."""

    folder: Path
    lessons: tuple[Lesson, ...]

    def solutions(self, lesson: Lesson) -> Path:
        """Return the kept notebook of a lesson, with its exercises solved."""
        return self.folder / "solutions" / f"{lesson.file}.ipynb"

    def learner_copy(self, lesson: Lesson) -> Path:
        """Return the derived notebook of a lesson, which the learner works in."""
        return self.folder / f"{lesson.file}.ipynb"

    def lesson(self, file: str) -> Lesson:
        """Return the lesson of this name. Raises ``SetupError`` if there is none."""
        for lesson in self.lessons:
            if lesson.file == file:
                return lesson
        names = ", ".join(lesson.file for lesson in self.lessons)
        raise SetupError(f"There is no lesson {file!r}.", remedy=f"one of: {names}")

    def find(self, exercise: str) -> tuple[Lesson, ExerciseText]:
        """Return an exercise and its lesson. Raises ``SetupError`` if there is none of this name."""
        for lesson in self.lessons:
            for text in lesson.exercises:
                if text.name == exercise:
                    return lesson, text
        names = [text.name for lesson in self.lessons for text in lesson.exercises]
        raise SetupError(f"There is no exercise {exercise!r}.", remedy=f"one of: {', '.join(names)}")


def course_folder() -> Path:
    """Return the folder of notebooks: here or above, else in the package's checkout."""
    here = Path.cwd()
    checkout = Path(__file__).parents[2]
    for folder in (here, *here.parents, checkout / "notebooks"):
        if (folder / COURSE_FILE).is_file():
            return folder
    raise SetupError(f"There is no {COURSE_FILE} here.", remedy="start Python in the folder of lessons")


def read_course(folder: Path | None = None) -> Course:
    """Read the course in this folder, or in the one that ``course_folder`` finds."""
    folder = folder or course_folder()
    told = tomllib.loads((folder / COURSE_FILE).read_text(encoding="utf-8"))
    return Course(folder, tuple(_lesson(entry) for entry in told["lesson"]))


def _lesson(entry: dict[str, Any]) -> Lesson:
    exercises = tuple(_exercise(text) for text in entry.get("exercise", []))
    return Lesson(
        entry["file"], entry["title"], entry["aim"], entry["minutes"], tuple(entry["brokers"]), exercises
    )


def _exercise(entry: dict[str, Any]) -> ExerciseText:
    return ExerciseText(entry["name"], entry["aim"], tuple(entry["brokers"]), tuple(entry["hints"]))


def course_map() -> Shown:
    """Return the lessons as a table: what each shows, and how long it takes."""
    return table(
        [
            {
                "Lesson": f"`{lesson.file}`",
                "You will see": lesson.aim,
                "Minutes": lesson.minutes,
                "Exercises": len(lesson.exercises),
            }
            for lesson in read_course().lessons
        ]
    )
