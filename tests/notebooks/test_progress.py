"""What the learner has done: kept in one file of theirs, whatever is in it, and never touched by tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labkit.errors import SetupError
from labkit.lessons import done
from labkit.lessons.course import read_course
from labkit.lessons.progress import (
    Progress,
    forget,
    note_finished,
    note_hint,
    note_passed,
    progress_file,
    read_progress,
)

COURSE = read_course(Path(__file__).parents[2] / "notebooks")
FIRST, SECOND, *_, LAST = (lesson.file for lesson in COURSE.lessons)


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "folder" / "progress.json"
    monkeypatch.setenv("LABKIT_PROGRESS", str(file))
    return file


def test_tests_and_what_they_start_keep_no_progress() -> None:
    assert os.environ["LABKIT_PROGRESS"] == "none"
    note_passed("refunds")
    assert progress_file() is None
    assert read_progress() == Progress()


def test_progress_is_in_the_labs_own_folder_unless_somebody_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABKIT_PROGRESS")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert progress_file() == tmp_path.resolve() / "progress.json"


def test_what_was_done_is_kept(own_file: Path) -> None:
    note_finished(FIRST)
    note_passed("refunds")
    note_hint("parcels", 2)
    assert read_progress() == Progress(frozenset({FIRST}), frozenset({"refunds"}), {"parcels": 2})
    assert json.loads(own_file.read_text())["lessons"] == [FIRST]


def test_some_of_it_can_be_forgotten(own_file: Path) -> None:
    for name in ("refunds", "parcels"):
        note_passed(name)
        note_hint(name, 1)
    note_finished(FIRST)
    forget([FIRST], ["refunds"])
    assert read_progress() == Progress(frozenset(), frozenset({"parcels"}), {"parcels": 1})


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"lessons": 3}', '{"lessons": [], "exercises": [], "hints": 1}']
)
def test_a_broken_file_is_set_aside_and_said_so(
    own_file: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    own_file.parent.mkdir()
    own_file.write_text(broken)
    assert read_progress() == Progress()
    assert "progress.json.broken" in caplog.text
    assert own_file.with_name("progress.json.broken").read_text() == broken
    note_finished(FIRST)
    assert read_progress().lessons == {FIRST}


def test_a_place_that_cannot_be_written_is_a_warning_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "file" / "progress.json"))
    note_finished(FIRST)
    assert "could not be kept" in caplog.text


def test_the_end_of_a_lesson_is_noted_and_names_the_next(own_file: Path) -> None:
    told = [done(FIRST).text, done(FIRST).text]
    assert told[0] == told[1]
    assert told[0].splitlines()[0] == f"✓ {FIRST}: you have come to its end. Next: `{SECOND}`"
    assert read_progress().lessons == {FIRST}


def test_after_the_last_lesson_comes_none() -> None:
    assert done(LAST).text.startswith(f"✓ {LAST}: you have come to its end. It was the last lesson.")


def test_the_end_of_a_lesson_says_where_to_read_on() -> None:
    link = COURSE.lessons[0].links[0]
    assert f"{link.title}: {link.url}" in done(FIRST).text
    assert f'<a href="{link.url}">' in done(FIRST).html


def test_the_end_of_no_lesson_is_an_error_that_names_the_lessons() -> None:
    with pytest.raises(SetupError, match="no lesson '99_juggling'") as caught:
        done("99_juggling")
    assert FIRST in caught.value.remedy
