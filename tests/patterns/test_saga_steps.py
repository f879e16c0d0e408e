"""The saga's decisions: which step is next, what is undone and in which order. No broker needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.patterns.saga import STEPS, NotConserved, Outcome, Payment, Phase, Saga, World
from labkit.patterns.saga.database import Database
from labkit.patterns.saga.program import letter
from labkit.patterns.saga.steps import (
    FINISHED,
    PIVOT,
    PLACED,
    after,
    after_deadline,
    command_of,
    expecting,
    reaction_to,
)

DONE, REFUSED, GAVE_UP = Outcome.DONE, Outcome.REFUSED, Outcome.GAVE_UP
NAMES = [name for step in STEPS for name in (step.name, step.undo) if name]


def path_of(*, failing: str = "", outcome: Outcome = REFUSED) -> tuple[list[str], Phase]:
    """Return the commands of an order one of whose steps fails, and how the order ends."""
    saga, commands = Saga(), []
    while (command := command_of(saga)) is not None:
        commands.append(command.name)
        saga = after(saga, command.name, outcome if command.name == failing else DONE)
    return commands, saga.phase


def test_without_a_failure_the_steps_follow_each_other() -> None:
    assert path_of() == (["reserve", "hold", "charge", "pack", "ship"], Phase.COMPLETED)


@pytest.mark.parametrize(
    ("failing", "commands"),
    [
        ("reserve", ["reserve"]),
        ("hold", ["reserve", "hold", "unreserve"]),
        ("charge", ["reserve", "hold", "charge", "unhold", "unreserve"]),
    ],
)
@pytest.mark.parametrize("outcome", [REFUSED, GAVE_UP])
def test_up_to_the_pivot_what_was_done_is_undone_in_reverse(
    failing: str, commands: list[str], outcome: Outcome
) -> None:
    assert path_of(failing=failing, outcome=outcome) == (commands, Phase.COMPENSATED)


@pytest.mark.parametrize("failing", ["pack", "ship"])
def test_after_the_pivot_nothing_is_undone(failing: str) -> None:
    commands, phase = path_of(failing=failing, outcome=GAVE_UP)
    assert phase is Phase.STUCK
    assert not [name for name in commands if name.startswith("un")]


def test_a_step_that_does_not_answer_in_time_is_undone_as_well() -> None:
    saga = after_deadline(Saga(Phase.RUNNING, 1))
    assert saga == Saga(Phase.COMPENSATING, 1)


@pytest.mark.parametrize("saga", [Saga(Phase.RUNNING, PIVOT), Saga(Phase.RUNNING, 4), expecting("unhold")])
def test_from_the_pivot_on_and_in_a_compensation_a_deadline_only_asks_again(saga: Saga) -> None:
    assert after_deadline(saga) == saga


def test_no_step_of_another_name_is_expected() -> None:
    with pytest.raises(ValueError, match="juggle"):
        expecting("juggle")


replies = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Outcome))), max_size=40)


@given(replies)
def test_whatever_replies_come_how_often_and_when_an_order_follows_the_plan(
    heard: list[tuple[str, Outcome]],
) -> None:
    saga = Saga()
    for command, outcome in heard:
        then = after(saga, command, outcome)
        waits_for = command_of(saga)
        assert then == saga or (waits_for is not None and waits_for.name == command)
        assert saga.phase not in FINISHED or then == saga
        assert not (saga.phase is Phase.COMPENSATING and then.phase is Phase.RUNNING)
        assert not (saga.at > PIVOT and then.phase in (Phase.COMPENSATING, Phase.COMPENSATED))
        assert after(then, command, outcome) == then  # the same reply once more
        saga = then


@given(st.sampled_from(NAMES), st.sampled_from(list(Outcome)))
def test_a_choreography_does_next_what_an_orchestrator_would(command: str, outcome: Outcome) -> None:
    assert reaction_to(command, outcome) == command_of(after(expecting(command), command, outcome))


def test_a_choreography_begins_with_the_first_step() -> None:
    assert reaction_to(PLACED, DONE) == command_of(Saga())


def open_payment(folder: Path) -> Any:
    transport: Any = None  # not used before it is opened
    payment = Payment(folder, transport, "payment", World())
    payment.begin({"customer": 100, "held": 0, "shop": 0})
    return payment


def outcome_of(payment: Any, command: str) -> str:
    with payment.database.transaction():
        (answer,) = payment.decide({"id": f"1:{command}", "order": 1, "command": command})
    return str(answer.message["outcome"])


def test_a_step_that_comes_after_its_own_compensation_is_refused(tmp_path: Path) -> None:
    payment = open_payment(tmp_path)
    assert outcome_of(payment, "unhold") == DONE
    assert outcome_of(payment, "hold") == REFUSED
    assert payment.database.amounts() == {"customer": 100, "held": 0, "shop": 0}


def test_a_transaction_that_makes_money_is_undone_and_says_the_numbers(tmp_path: Path) -> None:
    payment = open_payment(tmp_path)
    with (
        pytest.raises(NotConserved, match="customer 100 \\+ held 0 \\+ shop 5 = 105"),
        payment.database.transaction(),
    ):
        payment.database.add("shop", 5)
    assert payment.database.amounts()["shop"] == 0


def test_a_new_program_on_the_same_database_keeps_what_there_was(tmp_path: Path) -> None:
    outcome_of(open_payment(tmp_path), "hold")
    assert open_payment(tmp_path).database.amounts() == {"customer": 90, "held": 10, "shop": 0}


def test_what_is_not_committed_is_not_in_the_outbox(tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    database = Database(tmp_path / "one.db")
    database.checks.append(fail)
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.send([letter("orders", 1, "reserve", DONE)])
    assert database.unsent() == []
