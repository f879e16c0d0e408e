"""The notebooks as they are kept: derived, run, readable. nbval (`make test`) runs them again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.lessons import done
from labkit.lessons.checks import CHECKS
from labkit.lessons.course import read_course
from labkit.lessons.derive import WIDGET_VIEW, learner_cells

LONGEST_CELL = 25
COURSE = read_course(Path(__file__).parents[2] / "notebooks")
SOLUTIONS = [COURSE.solutions(lesson) for lesson in COURSE.lessons]
COPIES = [COURSE.learner_copy(lesson) for lesson in COURSE.lessons]
EXERCISES = [(lesson, text) for lesson in COURSE.lessons for text in lesson.exercises]

every_notebook = pytest.mark.parametrize(
    "path", SOLUTIONS + COPIES, ids=lambda path: str(path.relative_to(COURSE.folder))
)
every_lesson = pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.file)
every_exercise = pytest.mark.parametrize(
    ("lesson", "text"), EXERCISES, ids=[text.name for _, text in EXERCISES]
)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


def text_of(output: Any) -> str:
    return str(output.get("text", "") or output.get("data", {}).get("text/plain", ""))


def test_the_folder_holds_the_lessons_of_the_course_and_no_others() -> None:
    assert sorted(COURSE.folder.glob("*.ipynb")) == sorted(COPIES)
    assert sorted((COURSE.folder / "solutions").glob("*.ipynb")) == sorted(SOLUTIONS)


@every_lesson
def test_a_learner_copy_is_what_its_solution_derives(lesson: Any) -> None:
    derived = [(cell.cell_type, cell.source) for cell in learner_cells(read(COURSE.solutions(lesson)))]
    kept = [(cell.cell_type, cell.source) for cell in read(COURSE.learner_copy(lesson)).cells]
    assert kept == derived, "stale: run `make lessons`"


def test_lessons_are_numbered_in_their_order() -> None:
    assert [lesson.file[:3] for lesson in COURSE.lessons] == [
        f"{at:02}_" for at in range(len(COURSE.lessons))
    ]


@every_lesson
def test_a_lesson_takes_an_hour_at_most(lesson: Any) -> None:
    assert 0 < lesson.minutes <= 60


@every_lesson
def test_a_lesson_has_exercises_unless_it_is_the_first(lesson: Any) -> None:
    assert len(lesson.exercises) >= 2 or lesson == COURSE.lessons[0]


@every_lesson
def test_a_lesson_begins_with_its_question_its_model_and_its_time(lesson: Any) -> None:
    for path in (COURSE.solutions(lesson), COURSE.learner_copy(lesson)):
        opening = markdown(path)[0]
        assert opening.startswith(f"# {lesson.title}\n")
        assert "**The question.**" in opening
        assert "**The model.**" in opening
        assert re.search(rf"\b{lesson.minutes} minutes\b", opening), (
            f"say that it takes {lesson.minutes} minutes"
        )


@every_notebook
def test_a_lesson_has_a_glossary(path: Path) -> None:
    assert any("| Word | Meaning |" in text for text in markdown(path))


@every_lesson
def test_a_lesson_ends_with_done_and_its_stored_words_are_todays(lesson: Any) -> None:
    for path in (COURSE.solutions(lesson), COURSE.learner_copy(lesson)):
        last = read(path).cells[-1]
        assert last.source == f'done("{lesson.file}")'
        assert text_of(last.outputs[0]) == done(lesson.file).text, "run `make lessons`"


@every_notebook
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    for text in markdown(path):
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"https?://|#", target):
                assert (path.parent / target.partition("#")[0]).exists(), f"{target} in {path.name}"


@every_notebook
def test_every_code_cell_was_run_in_order(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "run `make lessons`"


@every_notebook
def test_most_code_cells_show_something(path: Path) -> None:
    cells = code_cells(path)
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2


@every_notebook
def test_no_cell_is_longer_than_a_screen(path: Path) -> None:
    longest = max(code_cells(path), key=lambda cell: cell.source.count("\n"))
    assert longest.source.count("\n") < LONGEST_CELL, longest.source


@every_notebook
def test_most_cells_are_short(path: Path) -> None:
    lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert sum(length < 10 for length in lengths) > len(lengths) / 2


@every_notebook
def test_no_error_is_stored_but_on_purpose_and_no_warning(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            if "raises-exception" not in cell.metadata.get("tags", []):
                assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", text_of(output)


@every_notebook
def test_nothing_is_stored_that_differs_from_run_to_run(path: Path) -> None:
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(path):
        assert set(cell.metadata) <= {"tags"}
        for output in cell.outputs:
            assert WIDGET_VIEW not in output.get("data", {})
            assert not re.search(r"127\.0\.0\.1|localhost|0x[0-9a-f]{8}|/home/|/root", text_of(output))


@every_exercise
def test_an_exercise_has_a_check_and_hints(lesson: Any, text: Any) -> None:
    assert text.name in CHECKS
    assert len(text.hints) >= 2


@every_exercise
def test_an_exercise_has_a_solution_a_starter_and_a_wrong_answer(lesson: Any, text: Any) -> None:
    cells = [
        cell for cell in read(COURSE.solutions(lesson)).cells if text.name in cell.metadata.get("tags", [])
    ]
    roles = [(role, cell.cell_type) for cell in cells for role in cell.metadata.tags if role != text.name]
    assert sorted(roles) == [("solution", "code"), ("starter", "raw"), ("wrong", "raw")]
