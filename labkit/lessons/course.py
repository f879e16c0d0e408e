"""The course as ``notebooks/lessons.toml`` tells it: lessons in order, their exercises and hints."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import SetupError

__all__ = ["COURSE_FILE", "Course", "ExerciseText", "Lesson", "Link", "course_folder", "read_course"]

COURSE_FILE = "lessons.toml"


@dataclass(frozen=True)
class Link:
    """Where to read on: a page of a broker's own documentation."""

    title: str
    url: str


@dataclass(frozen=True)
class ExerciseText:
    """What the course says about one exercise."""

    name: str
    aim: str
    brokers: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """One lesson: ``file`` is its notebook's name without ``.ipynb``; ``minutes`` is a newcomer's time.

    ``prerequisites`` are the files of lessons to take before; ``fast_track`` says in a sentence what somebody
    with experience may skip to.
    """

    file: str
    title: str
    aim: str
    minutes: int
    brokers: tuple[str, ...]
    exercises: tuple[ExerciseText, ...]
    prerequisites: tuple[str, ...] = ()
    fast_track: str = ""
    links: tuple[Link, ...] = ()


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

    def after(self, lesson: Lesson) -> Lesson | None:
        """Return the lesson that comes next, or None after the last."""
        return next(iter(self.lessons[self.lessons.index(lesson) + 1 :]), None)

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
    """Read the course in this folder, or in the one that ``course_folder`` finds.

    Raises ``SetupError``, with every rule that it breaks, for a course that cannot be taken as it is.
    """
    from labkit.lessons.course_rules import broken_rules

    file = (folder or course_folder()) / COURSE_FILE
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{COURSE_FILE} is no TOML: {error}.", remedy=f"mend {file}") from error
    lessons = tuple(_lesson(entry) for entry in told.get("lesson", []))
    if broken := list(broken_rules(lessons)):
        raise SetupError("\n  ".join([f"{COURSE_FILE} has mistakes:", *broken]), remedy=f"mend {file}")
    return Course(file.parent, lessons)


def _lesson(entry: Mapping[str, Any]) -> Lesson:
    where = entry.get("file", "a lesson without a file")
    exercises = [_exercise(text, where) for text in entry.get("exercise", [])]
    links = [Link(*_values(link, f"a link of {where}", "title", "url")) for link in entry.get("link", [])]
    file, title, aim, minutes, brokers = _values(entry, where, "file", "title", "aim", "minutes", "brokers")
    return Lesson(
        file,
        title,
        aim,
        minutes,
        tuple(brokers),
        tuple(exercises),
        tuple(entry.get("prerequisites", [])),
        entry.get("fast_track", ""),
        tuple(links),
    )


def _exercise(entry: Mapping[str, Any], lesson: str) -> ExerciseText:
    where = f"an exercise of {lesson}"
    name, aim, brokers, hints = _values(entry, where, "name", "aim", "brokers", "hints")
    return ExerciseText(name, aim, tuple(brokers), tuple(hints))


def _values(entry: Mapping[str, Any], where: str, *keys: str) -> list[Any]:
    missing = [key for key in keys if key not in entry]
    if missing:
        raise SetupError(f"{COURSE_FILE}: {where} has no {', '.join(missing)}.", remedy="add it")
    return [entry[key] for key in keys]
