"""Derive the learner's notebooks from the solutions, and store the outputs of both.

In a solutions notebook, tags say what the learner gets (each beside the exercise's name):

    solution   a code cell the learner does not get
    starter    a raw cell that becomes the learner's code cell in its place
    wrong      a raw cell with a plausible wrong answer; a test proves that the check refuses it

The test of wrong answers runs the cells up to the one that starts the lab, then for each exercise its wrong
answer and its check: no more of the lesson. A cell that an exercise needs to have run has the tag
``needs-<exercise>``, and one that all of them need has the tag ``setup``.

A line that ends in ``# solution`` is left out too (the answer given to a prediction).
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.lessons.course import Course, Lesson, read_course
from labkit.lessons.progress import NOWHERE

__all__ = [
    "Cell",
    "cells_of_exercises",
    "execute",
    "learner_cells",
    "main",
    "swap_in",
    "without_volatile_parts",
]

CELL_SECONDS = 120
LINE_MARK = "# solution"
STARTS_LAB = "Lab.start("
CHECKS_EXERCISE = ".check("
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
Notebook = Any  # nbformat has no types
Cell = Any


def learner_cells(notebook: Notebook) -> list[Cell]:
    """Return the learner's cells of a solutions notebook, not yet run."""
    return swap_in(notebook, "starter")


def swap_in(notebook: Notebook, role: str) -> list[Cell]:
    """Return the cells with each solution replaced by its ``starter`` or ``wrong`` answer, not yet run."""
    cells = []
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if role in tags:
            cells.append(_code_cell(cell))
        elif not tags & {"solution", "starter", "wrong"}:
            cells.append(_without_answers(cell))
    return cells


def cells_of_exercises(notebook: Notebook) -> list[Cell]:
    """Return the cells that a lesson's exercises need: its set-up, their own, and their checks."""
    kept, has_started = [], False
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not has_started:
            kept.append(cell)
            has_started = STARTS_LAB in cell.source
        elif (
            tags & {"setup", "solution", "starter", "wrong"}
            or any(tag.startswith("needs-") for tag in tags)
            or (cell.cell_type == "code" and CHECKS_EXERCISE in cell.source)
        ):
            kept.append(cell)
    return kept


def _code_cell(raw: Cell) -> Cell:
    import nbformat

    return nbformat.v4.new_code_cell(raw.source, id=raw.id)  # type: ignore[no-untyped-call]


def _without_answers(cell: Cell) -> Cell:
    cell = copy.deepcopy(cell)
    lines = cell.source.splitlines()
    cell.source = "\n".join(line for line in lines if not line.rstrip().endswith(LINE_MARK))
    return cell


def execute(notebook: Notebook, folder: Path) -> Notebook:
    """Run every cell in a fresh kernel started in ``folder``; return the notebook with its outputs."""
    from nbclient import NotebookClient

    environment = {
        **os.environ,
        "LABKIT_PROGRESS": NOWHERE,  # what is stored must not depend on who ran it, nor change what they did
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a debugger's warning is no output
    }
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,  # how a text is cut into messages is chance
    )
    client.execute(env=environment)
    return notebook


def without_volatile_parts(notebook: Notebook) -> Notebook:
    """Drop what differs from run to run, or means nothing without a kernel."""
    notebook.metadata = type(notebook.metadata)(kernelspec=KERNEL, language_info={"name": "python"})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = type(cell.metadata)({"tags": tags} if tags else {})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def derive(course: Course, lesson: Lesson) -> None:
    """Run a lesson's solutions notebook, derive the learner's copy, run that, and store both."""
    import nbformat

    path = course.solutions(lesson)
    solved = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    learner = copy.deepcopy(solved)
    learner.cells = learner_cells(solved)
    for notebook, target in ((solved, path), (learner, course.learner_copy(lesson))):
        print(f"{target.relative_to(course.folder)} ...", flush=True)
        done = without_volatile_parts(execute(notebook, target.parent))
        nbformat.write(done, target)  # type: ignore[no-untyped-call]


def main(argv: Sequence[str] | None = None) -> int:
    """Derive all lessons, or those whose file names are given."""
    parser = argparse.ArgumentParser(prog="python -m labkit.lessons.derive", description=main.__doc__)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="say, 01_publish_subscribe")
    chosen = parser.parse_args(argv).lessons
    course = read_course()
    unknown = set(chosen) - {lesson.file for lesson in course.lessons}
    if unknown:
        parser.error(f"no such lesson: {', '.join(sorted(unknown))}")
    for lesson in course.lessons:
        if not chosen or lesson.file in chosen:
            derive(course, lesson)
    return 0


if __name__ == "__main__":
    sys.exit(main())
