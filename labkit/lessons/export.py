"""``labkit export``: a lesson's pattern as a script of its own, with a broker's plain client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.brokers import BROKERS
from labkit.errors import SetupError
from labkit.lessons.course import Lesson, course_folder, read_course
from labkit.lessons.shown import table

__all__ = ["SCRIPTS", "main_export", "main_exportable", "script_of"]

SCRIPTS = Path(__file__).parent.parent / "exports"


def main_exportable() -> int:
    """Print the lessons that have scripts."""
    rows = (
        {"Lesson": lesson.file, "Title": lesson.title} for lesson in _course() if _has_scripts(lesson.file)
    )
    print(f"{table(rows)}\n\nSay which, and for which brokers: labkit export 01_publish_subscribe nats")
    return 0


def main_export(lesson: str, brokers: Sequence[str], folder: Path, force: bool) -> int:
    """Write one script a broker into the folder, and print how to run it.

    Raises ``SetupError`` if the lesson has no scripts, the folder is none, or a file is there and not forced.
    """
    scripts = [script_of(lesson, broker) for broker in brokers]
    if not folder.is_dir():
        raise SetupError(f"There is no folder {folder}.", remedy=f"mkdir {folder}")
    there = [script.name for script in scripts if (folder / script.name).exists()]
    if there and not force:
        raise SetupError(
            f"{', '.join(there)} would be overwritten.", remedy="--force, or another folder: --to"
        )
    for script in scripts:
        (folder / script.name).write_bytes(script.read_bytes())
        print(f"wrote {folder / script.name}")
    print(
        f"Run it: python {folder / scripts[0].name} ADDRESS\n"
        "`labkit up` starts brokers and prints their addresses; a script's first lines say what it needs."
    )
    return 0


def script_of(lesson: str, broker: str) -> Path:
    """Return where a lesson's script for a broker lies. Raises ``SetupError`` if there is none."""
    course = {known.file: known for known in _course()}
    with_scripts = ", ".join(file for file in course if _has_scripts(file))
    if lesson not in course:
        raise SetupError(f"There is no lesson {lesson!r}.", remedy=f"one of: {with_scripts}")
    if not _has_scripts(lesson):
        title = course[lesson].title
        raise SetupError(
            f"“{title}” is about no one pattern: it has no script.", remedy=f"one of: {with_scripts}"
        )
    return SCRIPTS / f"{lesson}_{broker}.py"


def _course() -> tuple[Lesson, ...]:
    return read_course(course_folder()).lessons


def _has_scripts(lesson: str) -> bool:
    return all((SCRIPTS / f"{lesson}_{broker}.py").is_file() for broker in BROKERS)
