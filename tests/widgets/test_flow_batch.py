"""What one batch tells: true totals, and few dots shared fairly."""

from __future__ import annotations

from collections import Counter

import pytest

from labkit.events import Event, Kind, Place
from labkit.feed import Feed
from labkit.message import Message
from labkit.topology import Lane, LaneSubscriber
from labkit.widgets.flow_batch import COMMON_DOTS, RARE_DOTS, choose_dots, lane_counts

NAMES = ("billing", "shipping", "audit")
LANE = Lane("nats", "subject", "orders.*", tuple(map(LaneSubscriber, NAMES)), channels=("orders.*",))
MESSAGE = Message(b"{}", "orders.paid")
SHOP = Place("nats", "orders.paid", "shop")
AUDIT = Place("nats", "orders.*", "audit")


def event(kind: Kind, place: Place, at: float = 10.0) -> Event:
    return Event(kind, place, at, MESSAGE)


def test_totals_are_summed_over_the_channels_of_a_lane() -> None:
    totals = {
        SHOP: {Kind.SENT: 3, Kind.REFUSED: 1, Kind.IN_DOUBT: 1},
        Place("nats", "orders.created", "shop"): {Kind.SENT: 4, Kind.IN_DOUBT: 1},
        Place("nats", "greetings", "shop"): {Kind.SENT: 100},
        AUDIT: {Kind.DELIVERED: 6, Kind.REDELIVERED: 2},
    }
    assert lane_counts(LANE, totals) == {
        "publishers": [[7, 0, 1, 2, 0]],
        "subscribers": [[0, 0], [0, 0], [6, 2]],
    }


def test_totals_are_the_feeds_to_the_last_message() -> None:
    feed = Feed()
    sent = feed.meter(Kind.SENT, SHOP)
    for _ in range(12_345):
        sent(MESSAGE)
    assert lane_counts(LANE, feed.totals())["publishers"] == [[12_345, 0, 0, 0, 0]]


def test_a_dot_says_lane_kind_node_and_when() -> None:
    [dot] = choose_dots([LANE], [event(Kind.DELIVERED, AUDIT, 10.02)], since=10.0, now=10.05)
    assert dot == [0, "delivered", 2, 0.02]


def test_what_happened_before_the_last_batch_is_drawn_at_once() -> None:
    [dot] = choose_dots([LANE], [event(Kind.SENT, SHOP, 9.9)], since=10.0, now=10.05)
    assert dot[3] == 0


def test_what_is_long_over_is_not_drawn() -> None:
    assert choose_dots([LANE], [event(Kind.SENT, SHOP, 4.0)], since=10.0, now=10.05) == []


def test_confirms_and_settles_are_counted_but_not_drawn() -> None:
    quiet = [event(Kind.CONFIRMED, SHOP), event(Kind.SETTLED, AUDIT)]
    assert choose_dots([LANE], quiet, since=10.0, now=10.05) == []


def test_strangers_and_other_channels_are_not_drawn() -> None:
    others = [
        event(Kind.SENT, Place("nats", "greetings", "shop")),
        event(Kind.DELIVERED, Place("nats", "orders.*", "stranger")),
        event(Kind.SENT, Place("redis", "orders.paid", "shop")),
    ]
    assert choose_dots([LANE], others, since=10.0, now=10.05) == []


def test_every_node_gets_its_share_of_the_dots() -> None:
    places = [Place("nats", "orders.*", name) for name in NAMES]
    crowd = [event(Kind.SENT, SHOP) for _ in range(200)]
    crowd += [event(Kind.DELIVERED, place) for place in places for _ in range(10)]
    dots = choose_dots([LANE], crowd, since=10.0, now=10.05)
    shares = Counter((kind, node) for _, kind, node, _ in dots)
    assert len(dots) == COMMON_DOTS
    assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.IN_DOUBT])
def test_a_message_that_failed_is_not_crowded_out(kind: Kind) -> None:
    crowd = [event(Kind.SENT, SHOP) for _ in range(500)]
    crowd += [event(kind, SHOP) for _ in range(50)]
    kinds = Counter(dot[1] for dot in choose_dots([LANE], crowd, since=10.0, now=10.05))
    assert kinds == {"sent": COMMON_DOTS, kind: RARE_DOTS}


def test_refusals_leave_room_for_what_is_in_doubt() -> None:
    crowd = [event(kind, SHOP) for kind in (Kind.REFUSED, Kind.IN_DOUBT) for _ in range(50)]
    kinds = Counter(dot[1] for dot in choose_dots([LANE], crowd, since=10.0, now=10.05))
    assert kinds == {"refused": RARE_DOTS // 2, "in doubt": RARE_DOTS // 2}


def test_dots_of_a_cut_sample_are_spread_over_the_batch() -> None:
    burst = [event(Kind.SENT, SHOP, 10.0) for _ in range(6)]
    times = [dot[3] for dot in choose_dots([LANE], burst, since=10.0, now=10.06)]
    assert times == [0, 0.01, 0.02, 0.03, 0.04, 0.05]


def test_a_few_dots_keep_their_own_times() -> None:
    few = [event(Kind.SENT, SHOP, 10.0 + at) for at in (0.01, 0.011, 0.04)]
    assert [dot[3] for dot in choose_dots([LANE], few, since=10.0, now=10.05)] == [0.01, 0.011, 0.04]
