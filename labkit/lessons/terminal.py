"""``labkit lessons``: the list, the next one, a fresh start, a hint."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from labkit.errors import SetupError
from labkit.home import home
from labkit.lessons.course import Course, Lesson, course_folder, read_course
from labkit.lessons.course_map import exercises_passed
from labkit.lessons.derive import Cell, learner_cells
from labkit.lessons.exercise import Hints, solution_of
from labkit.lessons.progress import forget, progress_file, read_progress
from labkit.lessons.shown import table

__all__ = ["main_hint", "main_list", "main_reset", "next_lesson"]

ALL_DONE = "You have done every lesson. `labkit lab` opens them all the same."


def main_list() -> int:
    """Print the lessons, and what of them was done."""
    course, progress = _course(), read_progress()
    print(
        table(
            {
                "Done": "✓" if lesson.file in progress.lessons else "",
                "Lesson": lesson.file,
                "Minutes": lesson.minutes,
                "Exercises passed": exercises_passed(lesson, progress),
                "You will see": lesson.aim,
            }
            for lesson in course.lessons
        )
    )
    following = _next_of(course)
    print(f"\nNext: {following.file}. `labkit lessons next` opens it." if following else f"\n{ALL_DONE}")
    return 0


def next_lesson() -> Lesson:
    """Return the first lesson that was not run to its end. Raises ``SetupError`` if there is none."""
    following = _next_of(_course())
    if following is None:
        raise SetupError("You have done every lesson.", remedy="labkit lab, or labkit lessons reset")
    return following


def _next_of(course: Course) -> Lesson | None:
    done = read_progress().lessons
    return next((lesson for lesson in course.lessons if lesson.file not in done), None)


def main_reset(name: str | None) -> int:
    """Forget what was done of one lesson, or of all, and put its notebook back as it came, not run."""
    course = _course()
    lessons = (course.lesson(name),) if name else course.lessons
    for lesson in lessons:
        _restore(course, lesson)
    forget(
        [lesson.file for lesson in lessons],
        [text.name for lesson in lessons for text in lesson.exercises],
    )
    which = name or "every lesson"
    print(f"Forgot what you did of {which} ({progress_file() or 'which was kept nowhere'}).")
    return 0


def _restore(course: Course, lesson: Lesson) -> None:
    """Put the learner's notebook back if a cell of it was changed; theirs is kept elsewhere."""
    import nbformat

    path = course.learner_copy(lesson)
    fresh = nbformat.read(course.solutions(lesson), as_version=4)  # type: ignore[no-untyped-call]
    fresh.cells = [_not_run(cell) for cell in learner_cells(fresh)]
    if path.is_file():
        mine = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        if [cell.source for cell in mine.cells] == [cell.source for cell in fresh.cells]:
            print(f"{path.name}: its cells are as they came.")
            return
        kept = _free_place(home() / "before_reset", lesson.file)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
        print(f"{path.name}: yours is kept as {kept}.")
    nbformat.write(fresh, path)  # type: ignore[no-untyped-call]
    print(f"{path.name}: as it came, without outputs. Run it to see them.")


def _not_run(cell: Cell) -> Cell:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


def _free_place(folder: Path, name: str) -> Path:
    return next(path for at in count(1) if not (path := folder / f"{name}-{at}.ipynb").exists())


def main_hint(exercise: str, solution: bool) -> int:
    """Print an exercise's next hint, or its solution."""
    course = _course()
    lesson, text = course.find(exercise)
    if solution:
        print(solution_of(course, lesson, text))
    else:
        print(f"{text.name}: {text.aim}\n{Hints(text).next()}")
    return 0


def _course() -> Course:
    """Return the course of ``notebooks`` here, as `labkit lab` does, else the one that is found."""
    here = Path.cwd() / "notebooks"
    return read_course(here if (here / "lessons.toml").is_file() else course_folder())
