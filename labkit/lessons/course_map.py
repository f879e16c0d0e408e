"""The course as a learner sees it: what there is, what it needs, and what they have done."""

from __future__ import annotations

from html import escape

from labkit.lessons.course import Lesson, read_course
from labkit.lessons.progress import Progress, read_progress
from labkit.lessons.shown import Shown, table

__all__ = ["course_map", "exercises_passed"]


def course_map() -> Shown:
    """Return the lessons as a table: what each shows, how long it takes, what of it was done."""
    lessons, progress = read_course().lessons, read_progress()
    finished = sum(lesson.file in progress.lessons for lesson in lessons)
    minutes = sum(lesson.minutes for lesson in lessons if lesson.file not in progress.lessons)
    caption = f"{finished} of {len(lessons)} lessons done; the others take about {minutes} minutes."
    return table((_row(lesson, progress) for lesson in lessons), caption)


def _row(lesson: Lesson, progress: Progress) -> dict[str, object]:
    return {
        "Lesson": _link(lesson),
        "Done": "✓" if lesson.file in progress.lessons else "",
        "You will see": lesson.aim,
        "Minutes": lesson.minutes,
        "Exercises passed": exercises_passed(lesson, progress),
        "Take first": ", ".join(file[:2] for file in lesson.prerequisites),
        "Fast track": lesson.fast_track,
    }


def exercises_passed(lesson: Lesson, progress: Progress) -> str:
    """Return how many of a lesson's exercises were passed: ``1 of 2``; empty where it has none."""
    if not lesson.exercises:
        return ""
    passed = sum(text.name in progress.exercises for text in lesson.exercises)
    return f"{passed} of {len(lesson.exercises)}"


def _link(lesson: Lesson) -> Shown:
    name = f"{lesson.file[:2]} {lesson.title}"
    return Shown(name, f'<a href="{escape(lesson.file)}.ipynb">{escape(name)}</a>')
