"""The ledger, held against a slow and obvious model, and against what it costs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.events import Kind, Place
from labkit.ledger import Ledger
from labkit.message import Message
from labkit.verdict import Verdict

CHANNEL = "orders"


def place(client: str) -> Place:
    return Place("nats", CHANNEL, client)


def message(number: int, key: str | None = None) -> Message:
    return Message(json.dumps(number).encode(), CHANNEL, key=key)


# One step of a run: a kind, who, which message. Small ranges, so that everything collides with everything.
STEPS = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.sampled_from("ab"), st.integers(0, 7)), max_size=60
)
KEYS = [None, "tea", "tea", "coffee", None, "coffee", "tea", "milk"]


def play(ledger: Ledger, steps: list[tuple[Kind, str, int]]) -> None:
    for kind, who, number in steps:
        ledger.meter(kind, place(who))(message(number, KEYS[number]))


def expected(steps: list[tuple[Kind, str, int]]) -> Verdict:
    """The same verdict, by going through the run again and again with lists and sets."""

    def ids(*kinds: Kind) -> list[int]:
        return [number for kind, _, number in steps if kind in kinds]

    attempted = set(ids(Kind.SENT))
    confirmed = set(ids(Kind.CONFIRMED)) & attempted
    refused = (set(ids(Kind.REFUSED)) & attempted) - confirmed
    in_doubt = attempted - confirmed - refused
    arrivals = Counter(ids(Kind.DELIVERED, Kind.REDELIVERED))
    dead, expired = set(ids(Kind.DEAD_LETTERED)) & attempted, set(ids(Kind.EXPIRED)) & attempted
    accounted = (set(arrivals) & attempted) | dead | expired
    return Verdict(
        attempted=len(attempted),
        sends=len(ids(Kind.SENT)),
        confirmed=len(confirmed),
        refused=len(refused),
        in_doubt=len(in_doubt),
        delivered=len(set(arrivals) & attempted),
        deliveries=arrivals.total(),
        settled=len(set(ids(Kind.SETTLED)) & attempted),
        redelivered=len(ids(Kind.REDELIVERED)),
        duplicated=sum(times - 1 for number, times in arrivals.items() if number in attempted),
        recovered=len(in_doubt & accounted),
        lost=len(confirmed - accounted),
        dead_lettered=len(dead),
        expired=len(expired),
        out_of_order=disorder(steps, by_key=False),
        out_of_order_by_key=disorder(steps, by_key=True),
        unexpected=sum(times for number, times in arrivals.items() if number not in attempted),
    )


def disorder(steps: list[tuple[Kind, str, int]], *, by_key: bool) -> int:
    first_sent: dict[int, tuple[str, int]] = {}  # publisher and position
    for publisher in "ab":  # the ledger knows no order between publishers; the first one named counts
        position = 0
        for kind, who, number in steps:
            if kind is Kind.SENT and who == publisher:
                first_sent.setdefault(number, (who, position))
                position += 1
    broken = 0
    for reader in "ab":
        seen: list[int] = []
        for kind, who, number in steps:
            if kind not in (Kind.DELIVERED, Kind.REDELIVERED) or who != reader or number in seen:
                continue
            seen.append(number)
            if number not in first_sent or (by_key and KEYS[number] is None):
                continue
            publisher, position = first_sent[number]
            earlier = [
                first_sent[other]
                for other in seen
                if other in first_sent and comparable(other, number, by_key)
            ]
            broken += any(who_sent == publisher and later > position for who_sent, later in earlier)
    return broken


def comparable(one: int, other: int, by_key: bool) -> bool:
    return not by_key or KEYS[one] == KEYS[other]


@given(STEPS)
def test_a_verdict_is_that_of_the_slow_model(steps: list[tuple[Kind, str, int]]) -> None:
    ledger = Ledger()
    for who in "ab":  # so that the publishers' order is the model's
        ledger.meter(Kind.SENT, place(who))
    play(ledger, steps)
    assert ledger.verdict() == expected(steps)


@given(STEPS, STEPS)
def test_a_ledger_in_files_is_read_by_the_next_process(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[Kind, str, int]],
    second: list[tuple[Kind, str, int]],
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    play(Ledger(folder), first)
    later = Ledger(folder)
    play(later, second)
    told, model = later.verdict(), expected(first + second)
    for name in (
        "attempted",
        "sends",
        "confirmed",
        "refused",
        "delivered",
        "deliveries",
        "lost",
        "unexpected",
    ):
        assert getattr(told, name) == getattr(model, name)
    assert Ledger(folder).verdict() == told


def test_what_a_killed_process_noted_is_not_lost(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from labkit.events import Kind, Place\nfrom labkit.ledger import Ledger\n"
        "from labkit.message import Message\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "meter = ledger.meter(Kind.SENT, Place('nats', 'orders', 'shop'))\n"
        "for number in range(10_000):\n    meter(Message(b'%d' % number, 'orders'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Ledger(tmp_path).verdict().attempted == 10_000


def test_readers_that_each_want_a_copy_get_a_verdict_each() -> None:
    ledger = Ledger()
    play(
        ledger, [(Kind.SENT, "a", 1), (Kind.CONFIRMED, "a", 1), (Kind.SENT, "a", 2), (Kind.CONFIRMED, "a", 2)]
    )
    ledger.meter(Kind.DELIVERED, place("billing"))(message(1))
    ledger.meter(Kind.DELIVERED, place("audit"))(message(2))
    assert ledger.verdict().lost == 0
    assert ledger.verdict(readers={"billing"}).lost == 1
    assert ledger.verdict(readers={"audit"}).lost == 1
    assert ledger.verdict(readers={"nobody"}).lost == 2


def test_the_same_message_on_another_broker_is_another_message() -> None:
    ledger = Ledger()
    for broker, channel in (("nats", "orders"), ("redis", "orders"), ("redis", "stock")):
        ledger.meter(Kind.SENT, Place(broker, channel, "shop"))(message(1))
    assert ledger.verdict().attempted == 2
    assert ledger.verdict(broker="redis").attempted == 1
    assert ledger.verdict(broker="redis", channel="stock").attempted == 1


def test_a_verdict_reads_as_a_line() -> None:
    ledger = Ledger()
    play(ledger, [(Kind.SENT, "a", 1), (Kind.CONFIRMED, "a", 1)])
    assert str(ledger.verdict()) == "attempted 1 · sends 1 · confirmed 1 · delivered 0 · lost 1"


def test_a_message_costs_bytes() -> None:
    ledger = Ledger()
    meters = [
        ledger.meter(kind, place("shop"))
        for kind in (Kind.SENT, Kind.CONFIRMED, Kind.DELIVERED, Kind.SETTLED)
    ]
    count = 200_000
    tracemalloc.start()
    for number in range(count):
        one = Message(b"%d" % number, CHANNEL)
        for meter in meters:
            meter(one)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / count < 50
