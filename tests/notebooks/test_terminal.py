"""``labkit lessons`` as a learner types it, on a copy of the lessons and with their own progress."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

from labkit.cli import main
from labkit.lessons.course import Course, read_course
from labkit.lessons.progress import note_finished, note_hint, note_passed, read_progress

CHECKOUT = read_course(Path(__file__).parents[2] / "notebooks")
FIRST, SECOND, *_ = CHECKOUT.lessons
Said = pytest.CaptureFixture[str]


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    shutil.copytree(CHECKOUT.folder, tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    return read_course(tmp_path / "notebooks")


def change(path: Path) -> bytes:
    """Change a cell of a notebook, as a learner does; return the whole."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "my own notes"
    nbformat.write(notebook, path)
    return path.read_bytes()


def test_the_list_shows_what_was_done_and_what_comes_next(course: Course, capsys: Said) -> None:
    note_finished(FIRST.file)
    note_passed(SECOND.exercises[0].name)
    assert main(["lessons"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert re.search(rf"^✓ +{FIRST.file} ", next(row for row in rows if FIRST.file in row))
    assert f"1 of {len(SECOND.exercises)}" in next(row for row in rows if SECOND.file in row)
    assert rows[-1] == f"Next: {SECOND.file}. `labkit lessons next` opens it."


def test_when_all_is_done_there_is_no_next(course: Course, capsys: Said) -> None:
    for lesson in course.lessons:
        note_finished(lesson.file)
    assert main(["lessons"]) == 0
    assert "You have done every lesson." in capsys.readouterr().out
    assert main(["lessons", "next", "--no-browser"]) == 1
    assert "You have done every lesson." in capsys.readouterr().err


def test_next_serves_the_first_lesson_that_was_not_done(course: Course, tmp_path: Path) -> None:
    note_finished(FIRST.file)
    argv = [sys.executable, "-m", "labkit", "lessons", "next", "--no-browser"]
    log = (tmp_path / "log").open("w")
    checkout = {**os.environ, "PYTHONPATH": str(CHECKOUT.folder.parent)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, env=checkout) as server:
        assert server.stdout is not None
        try:
            told = (re.search(r"http://127.0.0.1:\S+", line) for line in server.stdout)
            url = next(found.group() for found in told if found)
            assert f"/lab/tree/{SECOND.file}.ipynb?token=" in url
            assert "<title>JupyterLab</title>" in read_when_up(url)
        finally:
            server.terminate()


def read_when_up(url: str) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(url, timeout=30) as answer:
                page: str = answer.read().decode()
                return page
        except URLError:
            assert time.monotonic() < deadline, "JupyterLab did not come up"
            time.sleep(0.1)


def test_reset_puts_a_changed_notebook_back_and_keeps_the_learners(course: Course, capsys: Said) -> None:
    path = course.learner_copy(SECOND)
    fresh = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    for _ in range(2):
        mine = change(path)
        assert main(["lessons", "reset", SECOND.file]) == 0
        assert [cell.source for cell in nbformat.read(path, as_version=4).cells] == fresh
        kept = re.search(r"yours is kept as (\S+\.ipynb)\.", capsys.readouterr().out)
        assert kept
        assert Path(kept[1]).read_bytes() == mine
    nbformat.validate(nbformat.read(path, as_version=4))


def test_reset_leaves_a_notebook_alone_whose_cells_are_as_they_came(course: Course, capsys: Said) -> None:
    before = course.learner_copy(SECOND).read_bytes()
    assert main(["lessons", "reset", SECOND.file]) == 0
    assert course.learner_copy(SECOND).read_bytes() == before
    assert "its cells are as they came" in capsys.readouterr().out


def test_reset_forgets_one_lesson_or_all(course: Course) -> None:
    for lesson in (FIRST, SECOND):
        note_finished(lesson.file)
    note_passed(SECOND.exercises[0].name)
    note_hint(SECOND.exercises[0].name, 2)
    main(["lessons", "reset", SECOND.file])
    told = read_progress()
    assert (told.lessons, told.exercises, told.hints) == ({FIRST.file}, frozenset(), {})
    main(["lessons", "reset"])
    assert read_progress().lessons == frozenset()


def test_reset_of_no_lesson_names_the_lessons(course: Course, capsys: Said) -> None:
    assert main(["lessons", "reset", "99_juggling"]) == 1
    assert SECOND.file in capsys.readouterr().err


def test_hints_come_one_at_a_time_and_go_on_after_the_notebooks(course: Course, capsys: Said) -> None:
    text = SECOND.exercises[0]
    note_hint(text.name, 1)
    told = []
    for _ in range(len(text.hints)):
        assert main(["lessons", "hint", text.name]) == 0
        told.append(capsys.readouterr().out.splitlines()[1])
    assert told[:2] == [f"→ Hint 2 of {len(text.hints)}", f"→ Hint 3 of {len(text.hints)}"]
    assert told[-1] == f"→ Hint {len(text.hints)} of {len(text.hints)}"


def test_the_solution_is_shown_to_whoever_asks(course: Course, capsys: Said) -> None:
    assert main(["lessons", "hint", "bookkeeping", "--solution"]) == 0
    assert capsys.readouterr().out.startswith("async def bookkeeping():")


def test_a_hint_for_no_exercise_names_the_exercises(course: Course, capsys: Said) -> None:
    assert main(["lessons", "hint", "juggling"]) == 1
    assert "bookkeeping" in capsys.readouterr().err
