"""What a lane is made of, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.events import Place
from labkit.topology import Lane, LaneQueue, LaneSubscriber


@dataclass
class Channel:
    broker: str
    kind: str
    name: str


@dataclass
class Queue(Channel):
    waiting: int = 0

    async def depth(self) -> int:
        return self.waiting


@dataclass
class Subscription:
    name: str
    channel: Any
    filter: str = ""
    is_open: bool = True


def test_a_lane_takes_its_words_from_real_objects() -> None:
    subject = Channel("nats", "subject", "orders.*")
    lane = Lane.of(subject, Subscription("billing", Channel("nats", "subject", "orders.paid"), "orders.paid"))
    assert (lane.broker, lane.kind, lane.name) == ("nats", "subject", "orders.*")
    assert lane.subscribers == (LaneSubscriber("billing", "orders.paid"),)
    assert lane.publishers == ("shop",)


async def test_a_subscriber_of_a_queue_brings_the_queue_with_its_depth() -> None:
    exchange: Any = SimpleNamespace(broker="rabbitmq", kind="exchange", name="orders", exchange_kind="topic")
    lane = Lane.of(exchange, Subscription("billing", Queue("rabbitmq", "queue", "billing", waiting=7)))
    assert lane.kind == "topic exchange"
    [queue] = lane.queues
    assert queue.name == "billing"
    assert queue.depth is not None
    assert await queue.depth() == 7


def test_a_channel_other_than_the_hubs_is_written_below_the_name() -> None:
    hub = Channel("nats", "subject", "orders.*")
    two = [Subscription("billing", Channel("nats", "subject", "orders.paid")), Subscription("audit", hub)]
    assert [one.filter for one in Lane.of(hub, *two).subscribers] == ["orders.paid", ""]


def test_a_queue_that_is_shared_is_there_once() -> None:
    two = tuple(LaneSubscriber(name, queue=LaneQueue("work")) for name in ("a", "b"))
    assert Lane("rabbitmq", "exchange", "jobs", two).queues == (LaneQueue("work"),)


def test_who_leaves_and_comes_back_with_another_subscription_is_followed() -> None:
    topic = Channel("kafka", "topic", "orders")
    audit: Any = SimpleNamespace(subscription=Subscription("audit", topic))
    [one] = Lane.of(topic, audit).subscribers
    assert one.listens is not None
    assert one.listens()
    audit.subscription.is_open = False
    assert not one.listens()
    audit.subscription = Subscription("audit", topic)
    assert one.listens()


@pytest.mark.parametrize(
    ("name", "channel", "is_counted"),
    [
        ("orders.*", "orders.paid", True),
        ("orders.*", "orders.*", True),
        ("orders.>", "orders.eu.paid", True),
        (">", "anything", True),
        ("orders.*", "greetings", False),
        ("orders", "orders", True),
        ("orders", "orders.paid", False),
        ("orders.[a]", "orders.[a]", True),
    ],
)
def test_a_lane_counts_what_fits_its_channel(name: str, channel: str, is_counted: bool) -> None:
    lane = Lane.of(Channel("nats", "subject", name))
    assert lane.counts(Place("nats", channel, "shop")) is is_counted


def test_a_lane_counts_its_queues_and_nothing_of_other_brokers() -> None:
    exchange = Channel("rabbitmq", "exchange", "orders")
    lane = Lane.of(exchange, Subscription("billing", Queue("rabbitmq", "queue", "bills")))
    assert lane.counts(Place("rabbitmq", "bills", "billing"))
    assert not lane.counts(Place("kafka", "orders", "shop"))


def test_a_lane_without_channels_counts_all_of_its_broker() -> None:
    assert Lane("nats", "subject", "orders.*").counts(Place("nats", "greetings", "shop"))
