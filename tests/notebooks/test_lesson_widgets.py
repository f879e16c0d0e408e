"""Recipes side by side, sliders, promises, a number to predict. No broker and no browser needed."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from labkit.brokers import BROKERS
from labkit.errors import LabError
from labkit.guarantees import Aspect
from labkit.lessons import Dial, dials, predict_number, promises, show_recipes
from labkit.lessons.export import script_of
from labkit.lessons.recipes import highlighted
from labkit.patterns.publish_subscribe import RECIPES, NatsOrders
from tests.support import until

REASONS = {120: "A copy for each.", 40: "That is a work queue."}


def test_recipes_show_each_brokers_source_whole() -> None:
    shown = show_recipes(RECIPES)
    lines = shown.recipes[0]["lines"]
    assert [one["broker"] for one in shown.recipes] == list(BROKERS)
    assert (
        "\n".join("".join(text for _, text in line) for line in lines)
        == inspect.getsource(NatsOrders).rstrip()
    )


def test_recipes_read_without_a_kernel_and_the_same_each_time() -> None:
    shown = show_recipes(RECIPES)
    data, _ = shown._repr_mimebundle_()
    assert data["text/plain"] == repr(show_recipes(RECIPES)) == "<recipes: NATS, RabbitMQ, Redis, Kafka>"
    assert data["text/html"].count("<details>") == 4
    assert "class KafkaOrders" in data["text/html"]


def test_with_a_lesson_the_script_that_is_exported_is_shown_too() -> None:
    shown = show_recipes(RECIPES, "01_publish_subscribe")
    for one in shown.recipes:
        source = "\n".join("".join(text for _, text in line) for line in one["plain"])
        assert source == script_of("01_publish_subscribe", one["broker"]).read_text("utf-8").rstrip()
    assert "labkit export 01_publish_subscribe" in shown.fallback()


def test_source_is_escaped_where_it_becomes_html() -> None:
    class Sly:
        text = "<script>"

    assert "&lt;script&gt;" in show_recipes({"nats": Sly}).fallback()
    assert "<script>" not in show_recipes({"nats": Sly}).fallback()


def test_highlighting_names_the_class_of_each_part() -> None:
    assert highlighted("x = 'a\n\nb'")[0][0] == ("n", "x")
    assert ("k", "def") in highlighted("def f(): ...")[0]


def test_a_recipe_for_no_broker_is_refused() -> None:
    with pytest.raises(LabError, match="no broker 'pigeon'"):
        show_recipes({"pigeon": NatsOrders})


def test_a_dial_hands_its_value_on_and_keeps_between_its_ends() -> None:
    turned: list[float] = []
    shown = dials(Dial("Workers", 1, 6, value=2, on_change=turned.append))
    for wanted in (4, 4.4, 99, -1):
        shown.set("Workers", wanted)
    assert turned == [4, 4, 6, 1]
    assert all(isinstance(value, int) for value in turned)
    assert shown["Workers"] == 1


def test_a_dial_in_parts_of_one_has_no_stray_digits() -> None:
    shown = dials(Dial("Time", 0.0, 1.0, step=0.1, unit="s"))
    shown.set("Time", 0.31)
    assert shown["Time"] == 0.3
    assert repr(shown) == "<dials: Time 0.3 s>"


def test_dials_read_without_a_kernel_and_the_same_each_time() -> None:
    first, second = (dials(Dial("Workers", 1, 6, value=2)) for _ in range(2))
    data, _ = first._repr_mimebundle_()
    assert data["text/plain"] == repr(second) == "<dials: Workers 2>"
    assert data["text/html"] == second.fallback()
    assert first.model_id not in data["text/html"]


async def test_an_async_on_change_runs_one_call_at_a_time_and_ends_with_the_last_value() -> None:
    running, seen = 0, []

    async def resize(value: float) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        seen.append(value)
        running -= 1

    shown = dials(Dial("Workers", 1, 6, on_change=resize))
    for value in (2, 3, 4, 5):
        shown.set("Workers", value)
    await shown.settled()
    assert seen == [2, 5]


async def test_what_an_on_change_raises_is_shown_and_the_next_value_is_tried_again() -> None:
    def plain(value: float) -> None:
        if value == 2:
            raise ValueError("two is too few")

    async def later(value: float) -> None:
        plain(value)

    for on_change in (plain, later):
        shown = dials(Dial("Workers", 1, 6, on_change=on_change))
        shown.set("Workers", 2)
        with pytest.raises(LabError, match="Workers: ValueError: two is too few"):
            await shown.settled()
        shown.set("Workers", 3)
        await shown.settled()
        assert shown.error == ""


async def test_what_a_page_turns_is_turned_on_the_main_loop() -> None:
    loops: list[Any] = []
    shown = dials(Dial("Workers", 1, 6, on_change=lambda _: loops.append(asyncio.get_running_loop())))
    await asyncio.to_thread(shown._on_page_message, None, {"label": "Workers", "value": 3}, None)
    await until(lambda: bool(loops))
    assert loops == [asyncio.get_running_loop()]
    assert shown["Workers"] == 3


@pytest.mark.parametrize(
    "wrong",
    [{"low": 3, "high": 3}, {"low": 1, "high": 2, "step": 0}, {"low": 1, "high": 2, "value": float("nan")}],
)
def test_a_dial_that_cannot_be_turned_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LabError, match="Workers"):
        Dial("Workers", **wrong)


def test_an_unknown_dial_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(LabError, match="no dial 'Speed'") as caught:
        dials(Dial("Workers", 1, 6)).set("Speed", 1)
    assert caught.value.remedy == "one of: Workers"


def test_promises_come_from_the_claims_that_are_tested() -> None:
    shown = promises("nats stream", "kafka topic", about=["delay", "replay"])
    head, _, *rows = shown.text.splitlines()
    assert head.split("  ")[0] == "Question"
    assert "NATS stream" in head
    assert "Kafka topic" in head
    assert len(rows) == 2
    assert "by hand: a subscriber gives it back with nak(delay)" in rows[0]


def test_promises_answer_every_question_unless_some_are_picked() -> None:
    assert len(promises("redis list").text.splitlines()) == 2 + len(Aspect)


@pytest.mark.parametrize(("channel", "about"), [("nats river", ["delay"]), ("nats stream", ["colour"])])
def test_a_wrong_name_is_answered_with_the_right_ones(channel: str, about: list[str]) -> None:
    with pytest.raises(LabError, match="There is no") as caught:
        promises(channel, about=about)
    assert "nats stream" in caught.value.remedy or "dead letter" in caught.value.remedy


@pytest.mark.parametrize(("number", "why"), [(40, "That is a work queue."), (41, "Count the subscribers.")])
def test_a_wrong_number_hears_its_own_reason_or_the_one_for_all_others(number: int, why: str) -> None:
    asked = predict_number("How many?", REASONS, otherwise="Count the subscribers.", answer=number)
    assert f"Why not {number}? {why}" in asked.explain(120).text


def test_a_right_number_is_right_however_it_is_written() -> None:
    asked = predict_number("How many?", REASONS, otherwise="No.")
    asked.choose("120.0")
    assert asked.explain(120).text.startswith("✓ You predicted 120, and so it was.")


def test_what_is_no_number_is_refused_and_told_on_the_page() -> None:
    asked = predict_number("How many?", REASONS, otherwise="No.")
    with pytest.raises(LabError, match="'many' is not a number"):
        asked.choose("many")
    asked.heard({"choice": ""})
    assert asked.feedback == "Type a number first."


def test_a_number_to_predict_does_not_give_the_answer_away() -> None:
    data, _ = predict_number("How many?", REASONS, otherwise="No.")._repr_mimebundle_()
    assert "120" not in data["text/plain"] + data["text/html"]


def test_a_number_nobody_predicted_is_explained_all_the_same() -> None:
    assert "What happened: 120." in predict_number("How many?", REASONS, otherwise="").explain(120).text
