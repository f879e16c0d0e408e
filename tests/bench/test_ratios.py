"""The benchmark's arithmetic, on plain numbers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from labkit.bench.cell import Cell, Contestant, Operation, batches, make_payloads, size_words
from labkit.bench.measure import Pace
from labkit.bench.picture import picture
from labkit.bench.ratios import Ratio, Run, misses, order_of, percentile, ratio_to_raw
from labkit.bench.report import markdown
from labkit.bench.results import CellResult, Results, rows, to_json
from labkit.bench.stage import MessagesLost, Received

RAW, OURS, LEDGER, FASTSTREAM = (
    Contestant.RAW,
    Contestant.OURS,
    Contestant.LEDGER,
    Contestant.FASTSTREAM,
)
FIRE = Cell("nats", "subject", Operation.FIRE, 128)


def took(seconds: float, count: int = 10) -> Run:
    return Run(count, seconds, seconds / 2, p50=seconds / count, p99=seconds)


def flat(median: float) -> Ratio:
    return Ratio(median, median, median)


def results(*cells: CellResult) -> Results:
    return Results(Pace(rounds=2), {"nats": "2.15.1"}, {"python": "3.11"}, ["a note"], list(cells))


def test_a_ratio_is_taken_within_each_round_and_then_the_median() -> None:
    # The second round was slow for everybody; medians of times would say 3 / 2.
    rounds = [
        {RAW: took(1.0, 1), OURS: took(2.0, 1)},
        {RAW: took(8.0, 1), OURS: took(8.0, 1)},
        {RAW: took(3.0, 1), OURS: took(2.0, 1)},
    ]
    assert ratio_to_raw(rounds, OURS) == Ratio(median=1.0, least=0.5, most=1.5)


def test_a_ratio_is_of_time_a_message() -> None:
    assert ratio_to_raw([{RAW: took(1.0, count=100), FASTSTREAM: took(1.0, count=25)}], FASTSTREAM) == flat(
        0.25
    )


def test_raw_beside_itself_is_one() -> None:
    assert ratio_to_raw([{RAW: took(0.3)}, {RAW: took(0.7)}], RAW) == flat(1.0)


def test_places_are_taken_forth_and_back() -> None:
    assert order_of([RAW, OURS, LEDGER], 0) == [RAW, OURS, LEDGER]
    assert order_of([RAW, OURS, LEDGER], 1) == [LEDGER, OURS, RAW]
    assert order_of([RAW, OURS, LEDGER], 2) == [RAW, OURS, LEDGER]


@pytest.mark.parametrize(("share", "latency"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_percentile_is_one_of_the_latencies(share: float, latency: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == latency


def test_who_is_fast_enough_misses_nothing() -> None:
    assert misses({OURS: flat(0.97), LEDGER: flat(0.85), FASTSTREAM: flat(0.5)}) == []


def test_each_missed_target_is_told() -> None:
    missed = misses({OURS: flat(0.9), LEDGER: flat(0.8), FASTSTREAM: flat(0.95)})
    assert [words.split()[0] for words in missed] == ["ours", "ledger", "ours"]
    assert "behind FastStream" in missed[-1]


def test_a_request_has_a_line_for_each_latency_and_only_the_median_has_a_target() -> None:
    cell = CellResult(FIRE._replace(operation=Operation.REQUEST), [{RAW: took(1.0), OURS: took(4.0)}])
    median, tail = rows(results(cell))
    assert (median.measure, tail.measure) == ("p50", "p99")
    assert median.missed
    assert not tail.missed


def test_a_cell_that_failed_is_told_and_has_no_line() -> None:
    failed = results(CellResult(FIRE, (), "MessagesLost: 3 of 20"))
    assert list(rows(failed)) == []
    assert "nats subject: fire 128 B: MessagesLost: 3 of 20" in markdown(failed)


def test_table_picture_and_file_have_every_line() -> None:
    cells = [
        CellResult(FIRE._replace(size=size), [{RAW: took(1.0), OURS: took(2.0)}]) for size in (128, 1024)
    ]
    found = results(*cells)
    assert "| NATS | subject | fire | 1 KiB | 10/s | 0.50 (0.50-0.50) |" in markdown(found)
    data = json.loads(to_json(found))
    assert [row["ratios"]["ours"] for row in data["rows"]] == [[0.5, 0.5, 0.5]] * 2
    assert data["cells"][0]["runs"]["raw"]["us_each"] == [100_000.0]
    words = [text.text for text in ET.fromstring(picture(found)).iter("{http://www.w3.org/2000/svg}text")]
    assert "NATS subject, fire, 128 B" in words


def test_payloads_are_all_different_and_as_long_as_asked() -> None:
    payloads = make_payloads(1000, 128)
    assert len(set(payloads)) == 1000
    assert {len(payload) for payload in payloads} == {128}


def test_batches_lose_nothing() -> None:
    assert [len(batch) for batch in batches(make_payloads(7, 128), 3)] == [3, 3, 1]


def test_sizes_are_told_as_people_do() -> None:
    assert [size_words(size) for size in (128, 1024, 16384)] == ["128 B", "1 KiB", "16 KiB"]


def test_what_came_twice_or_not_at_all_is_noticed() -> None:
    received = Received()
    received.expect(2)
    assert [received.take(payload) for payload in (b"a", b"a")] == [False, True]
    with pytest.raises(MessagesLost, match="of 2 messages 1 did not come"):
        received.check([b"a", b"b"], "somebody")


def test_what_came_in_any_order_is_enough() -> None:
    received = Received()
    received.expect(2)
    received.take(b"b")
    received.take(b"a")
    received.check([b"a", b"b"], "somebody")
