"""Every exercise on real brokers: its starter fails, its solution passes, a plausible wrong answer fails."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.lessons.course import Lesson, read_course
from labkit.lessons.derive import cells_of_exercises, execute, swap_in
from tests.conftest import require

COURSE = read_course(Path(__file__).parents[2] / "notebooks")
WITH_EXERCISES = [lesson for lesson in COURSE.lessons if lesson.exercises]
every_lesson = pytest.mark.parametrize("lesson", WITH_EXERCISES, ids=lambda lesson: lesson.file)


def verdicts(notebook: Any) -> dict[str, str]:
    """Return what each check said: exercise -> "passed" or "not yet"."""
    texts = [
        output.data.get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code" and ".check(" in cell.source
        for output in cell.outputs
        if "data" in output
    ]
    heads = [text.splitlines()[0].removeprefix("✓ ").removeprefix("✗ ").rstrip(".") for text in texts]
    return dict(head.split(": ") for head in heads)  # type: ignore[misc]  # "name: verdict" gives two


@every_lesson
def test_starters_fail_and_solutions_pass(lesson: Lesson) -> None:
    # nbval runs both notebooks again, so their stored verdicts are today's.
    solved = nbformat.read(COURSE.solutions(lesson), as_version=4)
    started = nbformat.read(COURSE.learner_copy(lesson), as_version=4)
    assert verdicts(solved) == {text.name: "passed" for text in lesson.exercises}
    assert verdicts(started) == {text.name: "not yet" for text in lesson.exercises}


@every_lesson
@pytest.mark.timeout(200)
def test_plausible_wrong_answers_fail(lesson: Lesson) -> None:
    for broker in lesson.brokers:
        require(broker)
    path = COURSE.solutions(lesson)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = cells_of_exercises(notebook)
    wrong = copy.deepcopy(notebook)
    wrong.cells = swap_in(notebook, "wrong")
    execute(wrong, path.parent)
    assert verdicts(wrong) == {text.name: "not yet" for text in lesson.exercises}


def test_what_an_exercise_needs_is_its_setup_its_own_cells_and_those_tagged_so() -> None:
    cells = [
        ("markdown", "# Count", []),
        ("code", "from labkit import Lab", []),
        ("code", "lab = await Lab.start()", []),
        ("code", "long_demonstration()", []),
        ("code", "shelf = 3", ["setup"]),
        ("code", "orders = [1, 2]", ["needs-count"]),
        ("code", "def count(): return 2", ["solution", "count"]),
        ("raw", "def count(): return 3", ["wrong", "count"]),
        ("code", "await task.check(count)", []),
        ("code", "task.hint()", []),
    ]
    notebook = nbformat.v4.new_notebook()
    for kind, source, tags in cells:
        new = getattr(nbformat.v4, f"new_{kind}_cell")
        notebook.cells.append(new(source, metadata={"tags": tags}))
    notebook.cells = cells_of_exercises(notebook)
    assert [cell.source for cell in swap_in(notebook, "wrong")] == [
        "from labkit import Lab",
        "lab = await Lab.start()",
        "shelf = 3",
        "orders = [1, 2]",
        "def count(): return 3",
        "await task.check(count)",
    ]
