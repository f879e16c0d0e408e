"""One task serves every watched widget, and none when nobody watches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from labkit.events import Kind, Place
from labkit.feed import Feed
from labkit.message import Message
from labkit.widgets import pump as pump_module
from labkit.widgets.pump import Pump, Reading
from tests.support import until

PLACE = Place("nats", "orders", "shop")
MESSAGE = Message(b"", "orders")


class Listener:
    """A widget that keeps what it is told."""

    def __init__(self, feed: Feed | None = None) -> None:
        self.feed = feed
        self.readings: list[Reading] = []
        self.errors: list[BaseException] = []
        self.fails = False

    def tick(self, reading: Reading) -> None:
        if self.fails:
            raise RuntimeError("cannot draw")
        self.readings.append(reading)

    def show_error(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.fixture
def short_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "WATCH_SECONDS", 0.2)


async def test_a_watched_widget_is_told_the_totals_again_and_again() -> None:
    feed, pump = Feed(), Pump()
    one = Listener(feed)
    feed.meter(Kind.SENT, PLACE)(MESSAGE)
    pump.watch(one)
    await until(lambda: len(one.readings) >= 3)
    assert one.readings[-1].totals == {PLACE: {Kind.SENT: 1}}
    pump.forget(one)


async def test_the_task_ends_when_nobody_watches(short_watch: None) -> None:
    pump, one = Pump(), Listener()
    pump.watch(one)
    assert pump.is_running
    await until(lambda: not pump.is_running)
    told = len(one.readings)
    pump.watch(one)
    await until(lambda: len(one.readings) > told)
    pump.forget(one)
    await until(lambda: not pump.is_running)


async def test_widgets_of_one_feed_see_the_same_sample() -> None:
    feed, pump = Feed(), Pump()
    first, second = Listener(feed), Listener(feed)
    feed.meter(Kind.SENT, PLACE)(MESSAGE)
    pump.watch(first)
    pump.watch(second)
    await until(lambda: second.readings)
    assert [event.message for event in first.readings[0].sample] == [MESSAGE]
    assert first.readings[0] is second.readings[0]
    pump.forget(first)
    pump.forget(second)


async def test_a_widget_that_fails_shows_it_and_does_not_stop_the_others() -> None:
    feed, pump = Feed(), Pump()
    good, bad = Listener(feed), Listener(feed)
    bad.fails = True
    pump.watch(bad)
    pump.watch(good)
    await until(lambda: len(good.readings) >= 2)
    assert [str(error) for error in bad.errors] == ["cannot draw"]
    pump.forget(good)


async def test_after_a_cell_that_blocked_there_is_no_catching_up() -> None:
    pump, one = Pump(), Listener()
    pump.watch(one)
    await until(lambda: one.readings)
    told = len(one.readings)
    time.sleep(0.5)  # noqa: ASYNC251  # this is what a blocking cell does
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(one.readings) <= told + 1
    pump.forget(one)


async def test_a_widget_without_a_feed_is_served_too() -> None:
    pump, one = Pump(), Listener()
    pump.watch(one)
    await until(lambda: one.readings)
    told: Any = one.readings[0]
    assert (told.totals, told.sample) == ({}, ())
    pump.forget(one)
