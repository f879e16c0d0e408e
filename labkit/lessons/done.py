"""The last cell of a lesson: it says that the lesson was run to its end, and what comes next."""

from __future__ import annotations

from labkit.lessons.course import read_course
from labkit.lessons.progress import note_finished
from labkit.lessons.shown import Shown, note

__all__ = ["done"]


def done(lesson: str) -> Shown:
    """Keep in the learner's progress that this lesson was run to its end; return what comes next.

    The text is the same each time. Raises ``SetupError`` if there is no such lesson.
    """
    course = read_course()
    course.lesson(lesson)
    note_finished(lesson)
    files = [one.file for one in course.lessons]
    later = files[files.index(lesson) + 1 :]
    then = f"Next: `{later[0]}`" if later else "It was the last lesson."
    return note("good", f"{lesson}: you have come to its end. {then}")
