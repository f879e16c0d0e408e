"""The last cell of a lesson: it says that the lesson was run to its end, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from labkit.lessons.course import Link, read_course
from labkit.lessons.progress import note_finished
from labkit.lessons.shown import Shown, note

__all__ = ["done"]


def done(lesson: str) -> Shown:
    """Keep in the learner's progress that this lesson was run to its end; return what comes next.

    The text is the same each time. Raises ``SetupError`` if there is no such lesson.
    """
    course = read_course()
    this = course.lesson(lesson)
    note_finished(lesson)
    following = course.after(this)
    then = f"Next: `{following.file}`" if following else "It was the last lesson."
    end = note("good", f"{lesson}: you have come to its end. {then}")
    text = "\n".join([end.text, *(f"  {link.title}: {link.url}" for link in this.links)])
    return Shown(text, end.html + _read_on(this.links))


def _read_on(links: Sequence[Link]) -> str:
    items = "".join(f'<li><a href="{escape(link.url)}">{escape(link.title)}</a></li>' for link in links)
    return f"<p>To read on, in the brokers' own documentation:</p><ul>{items}</ul>" if links else ""
