"""What the learner has done so far: one small JSON file of theirs.

``LABKIT_PROGRESS`` says where it is, or is ``none``: then nothing is kept, and every lesson is new. That is
how the tests and ``derive`` run, so that what they store is the same for everybody.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from labkit.home import home

__all__ = [
    "NOWHERE",
    "Progress",
    "forget",
    "note_finished",
    "note_hint",
    "note_passed",
    "progress_file",
    "read_progress",
]

NOWHERE = "none"
LOCK_SECONDS = 10.0
log = logging.getLogger("labkit")


@dataclass(frozen=True)
class Progress:
    """Lessons that were run to their end, exercises that passed, and how many hints each exercise gave."""

    lessons: frozenset[str] = frozenset()
    exercises: frozenset[str] = frozenset()
    hints: Mapping[str, int] = field(default_factory=dict)


def progress_file() -> Path | None:
    """Return where progress is kept, or None if it is kept nowhere."""
    chosen = os.environ.get("LABKIT_PROGRESS")
    if chosen == NOWHERE:
        return None
    return Path(chosen).expanduser() if chosen else home() / "progress.json"


def read_progress() -> Progress:
    """Return the learner's progress; a file that cannot be understood is set aside, with a warning."""
    file = progress_file()
    return _read(file) if file else Progress()


def note_finished(lesson: str) -> None:
    """Keep that this lesson was run to its end."""
    _change(lambda old: replace(old, lessons=old.lessons | {lesson}))


def note_passed(exercise: str) -> None:
    """Keep that this exercise passed its check."""
    _change(lambda old: replace(old, exercises=old.exercises | {exercise}))


def note_hint(exercise: str, shown: int) -> None:
    """Keep how many hints of this exercise were shown."""
    _change(lambda old: replace(old, hints={**old.hints, exercise: shown}))


def forget(lessons: Collection[str], exercises: Collection[str]) -> None:
    """Forget that these lessons were run, and all about these exercises."""
    _change(
        lambda old: Progress(
            old.lessons - set(lessons),
            old.exercises - set(exercises),
            {name: shown for name, shown in old.hints.items() if name not in exercises},
        )
    )


def _change(change: Callable[[Progress], Progress]) -> None:
    """Read, change and write, so that two notebooks at once lose nothing."""
    file = progress_file()
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
            _write(file, change(_read(file)))
    except (OSError, TimeoutError) as error:  # a lesson goes on all the same
        log.warning("Your progress could not be kept in %s: %s", file, error)


def _read(file: Path) -> Progress:
    try:
        return _from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Progress()
    except OSError as error:
        log.warning("Your progress in %s could not be read: %s", file, error)
        return Progress()
    except (ValueError, TypeError, KeyError, AttributeError):
        return _set_aside(file)


def _from_json(text: str) -> Progress:
    told = json.loads(text)
    hints = {str(name): int(shown) for name, shown in told["hints"].items()}
    return Progress(frozenset(map(str, told["lessons"])), frozenset(map(str, told["exercises"])), hints)


def _set_aside(file: Path) -> Progress:
    aside = file.with_name(f"{file.name}.broken")
    try:
        file.replace(aside)
    except OSError as error:
        log.warning("Your progress in %s is broken, and could not be set aside: %s", file, error)
    else:
        log.warning("Your progress in %s was broken. It is now %s, and you start anew.", file, aside.name)
    return Progress()


def _write(file: Path, progress: Progress) -> None:
    told = {
        "lessons": sorted(progress.lessons),
        "exercises": sorted(progress.exercises),
        "hints": dict(sorted(progress.hints.items())),
    }
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    part.replace(file)
