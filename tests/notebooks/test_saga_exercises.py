"""Lesson 06's checks on real brokers: other right answers pass, plausible wrong ones do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from labkit.brokers import new_client
from labkit.lessons.checks.saga import CHECKS
from labkit.lessons.exercise import Finding
from labkit.patterns.saga import PRICE, STEPS

if TYPE_CHECKING:
    from labkit.servers import Fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNDO = {step.name: step.undo for step in STEPS}


@pytest_asyncio.fixture(loop_scope="session")
async def lab(fleet: Fleet) -> AsyncIterator[Any]:
    clients = {
        name: new_client(name, (await fleet.start(name)).url) for name in ("nats", "rabbitmq", "redis")
    }
    for client in clients.values():
        await client.open()
    yield SimpleNamespace(**clients)
    for client in clients.values():
        await client.close()


async def found(lab: Any, exercise: str, answer: object) -> Finding:
    return await CHECKS[exercise](lab, answer)


async def test_charge_once_takes_an_async_answer_that_asks_first(lab: Any) -> None:
    async def take(database: Any, message: Any, work: Any) -> None:
        with database.transaction():
            if not database.execute("SELECT 1 FROM inbox WHERE id = ?", message["id"]).fetchone():
                work()
                database.execute("INSERT INTO inbox VALUES (?)", message["id"])

    assert (await found(lab, "charge_once", take)).passed


def in_memory() -> Any:
    seen = set()

    def take(database: Any, message: Any, work: Any) -> None:
        if message["id"] in seen:
            return
        with database.transaction():
            work()
        seen.add(message["id"])

    return take


def noted_first(database: Any, message: Any, work: Any) -> None:
    with database.transaction():
        is_new = database.is_new(message["id"])
    if is_new:
        with database.transaction():
            work()


def every_time(database: Any, message: Any, work: Any) -> None:
    with database.transaction():
        work()


def never(database: Any, message: Any, work: Any) -> None:
    """Do nothing."""


def failing(*values: Any) -> Any:
    raise KeyError("id")


@pytest.mark.parametrize(
    ("take", "shows"),
    [
        (in_memory(), "its inbox has no row of them"),
        (noted_first, "the money was never held"),
        (every_time, "The shop took 20 coins for one order at 10"),
        (never, "did not call `work()`"),
        (failing, "Your function raised KeyError: 'id'"),
        ("no function", "Return the function itself."),
    ],
)
async def test_charge_once_says_what_is_wrong(lab: Any, take: Any, shows: str) -> None:
    finding = await found(lab, "charge_once", take)
    assert not finding.passed
    assert shows in finding.shows


def backwards(history: list[tuple[str, str]]) -> list[str]:
    return [UNDO[step] for step, outcome in reversed(history) if outcome in ("done", "no reply")]


async def test_backwards_takes_the_right_order(lab: Any) -> None:
    assert (await found(lab, "backwards", backwards)).passed


@pytest.mark.parametrize(
    ("undo", "shows"),
    [
        (lambda history: backwards(history)[::-1], "what was done last, first"),
        (
            lambda history: [UNDO[step] for step, outcome in reversed(history) if outcome == "done"],
            "held: 10",
        ),
        (lambda history: [], "of a declined card: nothing"),
        (lambda history: ["uncharge", *backwards(history)], "no step is compensated by 'uncharge'"),
        (failing, "Your function raised KeyError"),
    ],
    ids=["forwards", "only what answered", "nothing", "no such step", "failing"],
)
async def test_backwards_says_what_is_wrong(lab: Any, undo: Any, shows: str) -> None:
    finding = await found(lab, "backwards", undo)
    assert not finding.passed
    assert shows in finding.shows


def pay(database: Any) -> None:
    database.add("held", -PRICE)
    database.add("shop", PRICE)


def all_in_one(database: Any, message: Any, event: Any) -> None:
    with database.transaction():
        if not database.is_new(message["id"]):
            return
        database.send([event])
        pay(database)


def event_later(database: Any, message: Any, event: Any) -> None:
    with database.transaction():
        if not database.is_new(message["id"]):
            return
        pay(database)
    database.send([event])


def event_first(database: Any, message: Any, event: Any) -> None:
    with database.transaction():
        if not database.is_new(message["id"]):
            return
        database.send([event])
    with database.transaction():
        pay(database)


def without_inbox(database: Any, message: Any, event: Any) -> None:
    with database.transaction():
        pay(database)
        database.send([event])


def without_a_transaction(database: Any, message: Any, event: Any) -> None:
    if database.is_new(message["id"]):
        pay(database)
        database.send([event])


async def test_the_outbox_takes_one_transaction_in_any_order(lab: Any) -> None:
    assert (await found(lab, "outbox", all_in_one)).passed


@pytest.mark.parametrize(
    ("charge", "shows"),
    [
        (event_later, "The shop took 10 coins, and Redis does not have the event. The order waits for it"),
        (event_first, "The shop took 0 coins, and Redis has the event. The order goes on, and nobody paid."),
        (without_inbox, "something was taken twice"),
        (without_a_transaction, "The shop took 0 coins, and Redis does not have the event."),
        (never, "The shop took 0 coins, and Redis does not have the event."),
        (failing, "Your function raised KeyError"),
    ],
)
async def test_the_outbox_says_what_is_wrong(lab: Any, charge: Any, shows: str) -> None:
    finding = await found(lab, "outbox", charge)
    assert not finding.passed
    assert shows in finding.shows
