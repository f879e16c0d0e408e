"""The course: what `lessons.toml` may say, and the map a learner sees of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import SetupError
from labkit.lessons import course_map
from labkit.lessons.course import read_course
from labkit.lessons.progress import note_finished, note_passed

CHECKOUT = Path(__file__).parents[2] / "notebooks"
FIRST = """
[[lesson]]
file = "00_first"
title = "First"
aim = "a message"
minutes = 5
brokers = ["nats"]
"""
SECOND = """
[[lesson]]
file = "01_second"
title = "Second"
aim = "two messages"
minutes = 10
brokers = ["nats", "kafka"]
prerequisites = ["00_first"]
fast_track = "Skip it."
[[lesson.link]]
title = "NATS"
url = "https://docs.nats.io/"
[[lesson.exercise]]
name = "count"
aim = "Count."
brokers = ["kafka"]
hints = ["Look.", "Look closer."]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of lessons, with a progress file of its own."""
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lessons.toml").write_text(FIRST + SECOND)
    return tmp_path


def test_a_course_tells_what_a_lesson_needs_and_where_to_read_on(folder: Path) -> None:
    first, second = read_course(folder).lessons
    assert (first.prerequisites, first.fast_track, first.links) == ((), "", ())
    assert (second.prerequisites, second.fast_track) == (("00_first",), "Skip it.")
    assert [link.url for link in second.links] == ["https://docs.nats.io/"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["00_first"]', '["99_gone"]', "01_second needs 99_gone, which is no lesson"),
        ('["00_first"]', '["01_second"]', "01_second needs 01_second, which does not come before it"),
        ('"00_first"\n', '"01_second"\n', "the lesson 01_second is there 2 times"),
        ('"Look.", ', '"", ', "the exercise count has an empty hint"),
        ('["Look.", "Look closer."]', "[]", "the exercise count has an empty hint, or none"),
        ("https://docs.nats.io/", "docs.nats.io", "has a link to 'docs.nats.io', which is no address"),
        ("https://docs.nats.io/", "https:///page", "which is no address"),
        ('["nats", "kafka"]', '["nats"]', "the exercise count needs kafka, which its lesson does not"),
        ('["nats"]\n', '["pigeon"]\n', "00_first needs the broker pigeon, which is none of nats"),
        ("minutes = 5", "minutes = 0", "00_first takes 0 minutes"),
        ('aim = "Count."', "", "an exercise of 01_second has no aim"),
        ('title = "First"', "", "00_first has no title"),
        ("minutes = 5", "minutes =", "lessons.toml is no TOML"),
    ],
)
def test_a_mistake_in_the_course_is_named(folder: Path, old: str, new: str, told: str) -> None:
    text = FIRST + SECOND
    assert old in text
    (folder / "lessons.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(SetupError) as caught:
        read_course(folder)
    assert told in caught.value.what


def test_every_mistake_is_named_at_once(folder: Path) -> None:
    exercise = SECOND[SECOND.index("[[lesson.exercise]]") :]
    (folder / "lessons.toml").write_text((FIRST + SECOND).replace("minutes = 5", "minutes = 0") + exercise)
    with pytest.raises(SetupError) as caught:
        read_course(folder)
    assert "00_first takes 0 minutes" in caught.value.what
    assert "the exercise count is there 2 times" in caught.value.what


def test_the_map_shows_a_newcomer_everything_undone(folder: Path) -> None:
    shown = course_map()
    assert shown.text.splitlines()[0] == "0 of 2 lessons done; the others take about 15 minutes."
    assert "0 of 1" in shown.text
    assert "✓" not in shown.text
    assert '<a href="01_second.ipynb">01 Second</a>' in shown.html
    assert "Skip it." in shown.html


def test_the_map_shows_what_was_done(folder: Path) -> None:
    note_finished("01_second")
    note_passed("count")
    caption, *_, first, second = course_map().text.splitlines()
    assert caption == "1 of 2 lessons done; the others take about 5 minutes."
    assert "✓" not in first
    assert "✓" in second
    assert "1 of 1" in second


def test_every_lesson_of_the_course_says_what_it_needs_and_where_to_read_on() -> None:
    for lesson in read_course(CHECKOUT).lessons:
        assert lesson.prerequisites or lesson.file.startswith("00")
        assert lesson.fast_track.endswith(".")
        assert lesson.links
