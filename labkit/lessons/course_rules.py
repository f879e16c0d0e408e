"""What must hold of a course, so that a mistake in ``lessons.toml`` is found when it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from labkit.brokers import BROKERS
from labkit.lessons.course import ExerciseText, Lesson

__all__ = ["broken_rules"]


def broken_rules(lessons: Sequence[Lesson]) -> Iterator[str]:
    """Yield a sentence for each rule that these lessons, in their order, break."""
    yield from _twice("the lesson", [lesson.file for lesson in lessons])
    yield from _twice("the exercise", [text.name for lesson in lessons for text in lesson.exercises])
    files = [lesson.file for lesson in lessons]
    for at, lesson in enumerate(lessons):
        yield from _order(lesson, files, at)
        yield from _lesson(lesson)
        for text in lesson.exercises:
            yield from _exercise(lesson, text)


def _twice(what: str, names: Sequence[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name} is there {count} times"


def _order(lesson: Lesson, files: Sequence[str], at: int) -> Iterator[str]:
    for needed in lesson.prerequisites:
        if needed not in files:
            yield f"{lesson.file} needs {needed}, which is no lesson"
        elif files.index(needed) >= at:
            yield f"{lesson.file} needs {needed}, which does not come before it"


def _lesson(lesson: Lesson) -> Iterator[str]:
    if lesson.minutes <= 0:
        yield f"{lesson.file} takes {lesson.minutes} minutes"
    for broker in lesson.brokers:
        if broker not in BROKERS:
            yield f"{lesson.file} needs the broker {broker}, which is none of {', '.join(BROKERS)}"
    for link in lesson.links:
        address = urlsplit(link.url)
        if address.scheme != "https" or not address.hostname:
            yield f"{lesson.file} has a link to {link.url!r}, which is no address: https://..."


def _exercise(lesson: Lesson, text: ExerciseText) -> Iterator[str]:
    if not text.hints or not all(hint.strip() for hint in text.hints):
        yield f"the exercise {text.name} has an empty hint, or none"
    for broker in text.brokers:
        if broker not in lesson.brokers:
            yield f"the exercise {text.name} needs {broker}, which its lesson does not"
