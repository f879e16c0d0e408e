"""What the live picture tells its page, and what it does when somebody uses its controls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.errors import BrokerError, LabError
from labkit.events import Kind, Place
from labkit.feed import Feed
from labkit.message import Message
from labkit.servers.server import State
from labkit.topology import Lane, LaneQueue, LaneSubscriber
from labkit.widgets import MessageFlow
from tests.support import until
from tests.widgets.conftest import KnownServer, Page

SHOP = Place("rabbitmq", "orders", "shop")
BILLING = Place("rabbitmq", "billing", "billing")
MESSAGE = Message(b"{}", "orders.paid")


class Depth:
    """A queue whose depth the test knows, and who asked for it."""

    def __init__(self) -> None:
        self.value = 0
        self.fails = False

    async def __call__(self) -> int:
        if self.fails:
            raise BrokerError("no answer")
        return self.value


@pytest.fixture
def depth() -> Depth:
    return Depth()


@pytest.fixture
def lane(depth: Depth) -> Lane:
    billing = LaneSubscriber("billing", "orders.paid", LaneQueue("billing", depth))
    return Lane("rabbitmq", "topic exchange", "orders", (billing,))


class Picture:
    """A flow with its feed, its server and its page."""

    def __init__(self, lane: Lane) -> None:
        self.feed = Feed()
        self.server = KnownServer("rabbitmq")
        self.calls: list[tuple[Any, ...]] = []
        self.flow = MessageFlow(
            [lane],
            feed=self.feed,
            servers={"rabbitmq": self.server},  # type: ignore[dict-item]
            rate=10,
            on_rate=lambda rate: self.calls.append(("rate", rate, threading.current_thread())),
            on_kill=self.kill,
            on_restart=self.restart,
        )
        self.page = Page(self.flow)

    async def kill(self, broker: str) -> None:
        await asyncio.sleep(0)
        self.calls.append(("kill", broker, threading.current_thread()))

    def restart(self, broker: str) -> None:
        raise LabError(f"{broker} does not start.", remedy="look at its log")

    def happen(self, kind: Kind, place: Place, times: int = 1) -> None:
        meter = self.feed.meter(kind, place)
        for _ in range(times):
            meter(MESSAGE)

    @property
    def batches(self) -> list[dict[str, Any]]:
        return self.page.of("batch")

    @property
    def sent(self) -> int:
        count: int = self.batches[-1]["lanes"][0]["publishers"][0][0]
        return count


@pytest.fixture
async def picture(lane: Lane) -> Any:
    picture = Picture(lane)
    yield picture
    picture.flow.stop()


async def test_nothing_is_told_while_nobody_looks(picture: Picture) -> None:
    picture.happen(Kind.SENT, SHOP)
    assert not picture.flow._pump().is_running
    assert picture.page.told == []


async def test_a_new_page_is_told_everything_at_once(picture: Picture) -> None:
    picture.happen(Kind.SENT, SHOP, 3)
    picture.page.watch()
    await until(lambda: picture.batches)
    [lane] = picture.batches[0]["lanes"]
    assert lane["publishers"] == [[3, 0, 0, 0, 0]]
    assert (lane["state"], lane["ready_in"]) == ("running", 0.25)


async def test_a_page_that_lost_batches_is_right_again_with_the_next(picture: Picture) -> None:
    picture.page.watch()
    await until(lambda: picture.batches)
    for _ in range(5):
        picture.happen(Kind.SENT, SHOP, 100)
        told = len(picture.batches)
        await until(lambda told=told: len(picture.batches) > told)
        if picture.sent < 500:
            picture.page.told.clear()  # lost on the way
    assert picture.sent == 500


async def test_an_idle_picture_only_shows_a_heartbeat(picture: Picture) -> None:
    picture.page.watch()
    await until(lambda: len(picture.batches) >= 4)
    times = [batch["at"] for batch in picture.batches]
    assert times[3] - times[2] >= 0.9


async def test_a_state_that_was_over_before_the_next_batch_is_told_too(picture: Picture) -> None:
    picture.page.watch()
    await until(lambda: picture.batches)
    for state in (State.DEAD, State.STARTING, State.RUNNING):
        picture.server.become(state)
    await until(lambda: any(batch["changes"] for batch in picture.batches))
    [told] = [batch for batch in picture.batches if batch["changes"]]
    assert told["changes"] == [["rabbitmq", "dead"], ["rabbitmq", "starting"], ["rabbitmq", "running"]]


async def test_controls_act_on_the_main_loop_though_the_page_speaks_in_another_thread(
    picture: Picture,
) -> None:
    speak = [
        lambda: picture.page.say(type="rate", rate=50),
        lambda: picture.page.say(type="kill", broker="rabbitmq"),
    ]
    for say in speak:
        await asyncio.to_thread(say)
    await until(lambda: len(picture.calls) == 2)
    here = threading.current_thread()
    assert picture.calls == [("rate", 50.0, here), ("kill", "rabbitmq", here)]
    assert picture.flow.rate == 50


async def test_an_error_of_a_control_is_shown_in_the_picture(picture: Picture) -> None:
    picture.page.say(type="restart", broker="rabbitmq")
    await until(lambda: picture.page.of("error"))
    [error] = picture.page.of("error")
    assert "rabbitmq does not start." in error["text"]
    assert "look at its log" in error["text"]


async def test_a_control_without_a_callback_is_not_offered(lane: Lane) -> None:
    flow = MessageFlow([lane], feed=Feed(), servers={})
    assert flow.can == []
    flow.stop()


async def test_the_depth_of_a_queue_is_the_brokers_own_number(picture: Picture, depth: Depth) -> None:
    depth.value = 12
    picture.page.watch()
    await until(lambda: picture.batches and picture.batches[-1]["lanes"][0]["depths"] == [12])


async def test_a_depth_that_cannot_be_had_is_unknown_and_no_error(picture: Picture, depth: Depth) -> None:
    depth.value = 12
    picture.page.watch()
    await until(lambda: picture.batches and picture.batches[-1]["lanes"][0]["depths"] == [12])
    depth.fails = True
    await until(lambda: picture.batches[-1]["lanes"][0]["depths"] == [None])
    assert picture.page.of("error") == []


async def test_who_is_not_listening_is_told(picture: Picture) -> None:
    listening = [True]
    away = LaneSubscriber("audit", listens=lambda: listening[0])
    picture.flow.show(Lane("nats", "subject", "orders", (away,)))
    picture.page.watch()
    await until(lambda: picture.batches)
    listening[0] = False
    await until(lambda: picture.batches[-1]["lanes"][0]["listening"] == [False])


async def test_a_subscriber_may_join_the_picture_later(picture: Picture) -> None:
    two = Lane("rabbitmq", "topic exchange", "orders", (LaneSubscriber("billing"), LaneSubscriber("audit")))
    picture.flow.show(two)
    assert [one["name"] for one in picture.flow.lanes_shown[0]["subscribers"]] == ["billing", "audit"]


async def test_a_stopped_picture_tells_its_last_numbers_and_no_more(picture: Picture) -> None:
    picture.page.watch()
    await until(lambda: picture.batches)
    picture.happen(Kind.SENT, SHOP, 7)
    picture.flow.stop()
    assert picture.page.told[-1]["type"] == "stopped"
    assert picture.sent == 7
    assert picture.server.watchers == []
    await until(lambda: not picture.flow._pump().is_running)


async def test_a_page_that_opens_after_the_end_is_told_so(picture: Picture) -> None:
    picture.flow.stop()
    picture.page.told.clear()
    picture.page.watch()
    await until(lambda: picture.page.of("stopped"))
    assert picture.batches


def test_a_picture_without_lanes_is_refused() -> None:
    with pytest.raises(LabError, match="at least one lane"):
        MessageFlow([], feed=Feed(), servers={})


def bundles(lane: Lane) -> Iterator[dict[str, Any]]:
    for _ in range(2):
        flow = MessageFlow([lane], feed=Feed(), servers={}, title="Orders")
        data, _ = flow._repr_mimebundle_()
        assert flow.model_id not in data["text/plain"] + data["text/html"]
        yield {kind: data[kind] for kind in ("text/plain", "text/html")}


def test_a_saved_picture_is_the_same_each_time(lane: Lane) -> None:
    first, second = bundles(lane)
    assert first == second
    assert first["text/plain"] == "<live picture: rabbitmq topic exchange 'orders'>"
    assert first["text/html"].startswith('<figure><img alt="Orders" src="data:image/svg+xml;base64,')
