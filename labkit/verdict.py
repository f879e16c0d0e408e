"""What the columns of a ledger amount to: who was lost, doubled, late. Pure functions over numbers.

The rules are those of Jepsen's total-queue checker, over message ids. An id stands for a message, however
often it was sent or delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.columns import Numbers

__all__ = ["NOTHING", "NO_KEY", "Reading", "Sending", "Verdict", "judge"]

Mask = NDArray[np.bool_]
NOTHING = np.empty(0, dtype=np.uint64)
NO_KEY = 1
"""What stands in a column of keys for a message that has none."""


class Sending(NamedTuple):
    """What one publisher did: each array holds message ids, oldest first; ``keys`` belongs to ``sent``."""

    sent: Numbers = NOTHING
    keys: Numbers = NOTHING
    confirmed: Numbers = NOTHING
    refused: Numbers = NOTHING


class Reading(NamedTuple):
    """What one subscriber saw; ``delivered`` holds the redelivered ones too, all in the order of arrival."""

    delivered: Numbers = NOTHING
    redelivered: Numbers = NOTHING
    settled: Numbers = NOTHING


@dataclass(frozen=True)
class Verdict:
    """One account of a run. Counts are of messages, unless they say deliveries."""

    attempted: int
    """Messages that somebody tried to send."""
    sends: int
    """Attempts to send them. More than messages: some were sent again, or were alike."""
    confirmed: int
    """Of these, the broker said that it has them."""
    refused: int
    """Of these, certainly not accepted."""
    in_doubt: int
    """Of these, nobody knows: no answer, or the broker gives none."""
    delivered: int
    """Messages of ours that arrived, at least once."""
    deliveries: int
    """Arrivals, repetitions included."""
    settled: int
    """Messages that a subscriber said it is done with."""
    redelivered: int
    """Deliveries that the broker marked as repeated."""
    duplicated: int
    """Deliveries of a message that had arrived before, marked or not."""
    recovered: int
    """Messages in doubt that arrived after all."""
    lost: int
    """Messages that were confirmed and never arrived."""
    dead_lettered: int
    """Messages that were put aside, where somebody watches."""
    expired: int
    """Messages that the broker dropped because they had become too old, where it says so."""
    out_of_order: int
    """First arrivals after one that its publisher sent later."""
    out_of_order_by_key: int
    """The same among messages with the same key."""
    unexpected: int
    """Deliveries of what nobody tried to send."""

    @property
    def missing(self) -> int:
        """Messages that never arrived though nobody was told that they would not: lost, or in doubt."""
        return self.lost + self.in_doubt - self.recovered

    def __str__(self) -> str:
        counts = ((field.name.replace("_", " "), getattr(self, field.name)) for field in fields(self))
        return " · ".join(f"{name} {count}" for name, count in counts if count or name in ALWAYS)


ALWAYS = ("attempted", "confirmed", "delivered", "lost")


def judge(
    sendings: Sequence[Sending],
    readings: Sequence[Reading],
    dead_lettered: Sequence[Numbers] = (),
    expired: Sequence[Numbers] = (),
) -> Verdict:
    """Return the verdict on what these publishers sent, read by all of these subscribers together."""
    attempted = _ids(sending.sent for sending in sendings)
    confirmed = _among(_ids(sending.confirmed for sending in sendings), attempted)
    refused = _without(_among(_ids(sending.refused for sending in sendings), attempted), confirmed)
    in_doubt = _without(_without(attempted, confirmed), refused)
    arrivals = _joined(reading.delivered for reading in readings)
    distinct, times = _distinct(arrivals)
    ours = np.isin(distinct, attempted, assume_unique=True)
    delivered = distinct[ours]
    put_aside = _among(_ids(dead_lettered), attempted)
    too_old = _among(_ids(expired), attempted)
    accounted = _ids([delivered, put_aside, too_old])
    order = _Order(sendings)
    broken = [order.broken(reading.delivered) for reading in readings]
    return Verdict(
        attempted=attempted.size,
        sends=sum(sending.sent.size for sending in sendings),
        confirmed=confirmed.size,
        refused=refused.size,
        in_doubt=in_doubt.size,
        delivered=delivered.size,
        deliveries=arrivals.size,
        settled=_among(_ids(reading.settled for reading in readings), attempted).size,
        redelivered=sum(reading.redelivered.size for reading in readings),
        duplicated=int((times[ours] - 1).sum()),
        recovered=_among(in_doubt, accounted).size,
        lost=_without(confirmed, accounted).size,
        dead_lettered=put_aside.size,
        expired=too_old.size,
        out_of_order=sum(anyhow for anyhow, _ in broken),
        out_of_order_by_key=sum(by_key for _, by_key in broken),
        unexpected=int(times[~ours].sum()),
    )


class _Order:
    """The order in which messages were first sent, to hold deliveries against."""

    def __init__(self, sendings: Sequence[Sending]) -> None:
        sent = _joined(sending.sent for sending in sendings)
        keys = _joined(sending.keys for sending in sendings)
        publishers = np.repeat(np.arange(len(sendings)), [sending.sent.size for sending in sendings])
        # Of an id that was sent twice, the first counts.
        self._ids, self._positions = _first_places(sent)
        self._publishers = publishers[self._positions]
        self._keys = keys[self._positions]

    def broken(self, delivered: Numbers) -> tuple[int, int]:
        """Return how many first arrivals follow one that was sent later: by that publisher, of that key."""
        arrived = delivered[np.sort(_first_places(delivered)[1])]
        at = _places_in(self._ids, arrived)
        at = at[at >= 0]
        keyed = at[self._keys[at] != NO_KEY]
        _, keys = np.unique(self._keys[keyed], return_inverse=True)
        pairs = self._publishers[keyed] * (keys.max(initial=0) + 1) + keys
        return (
            _falls(self._publishers[at], self._positions[at]),
            _falls(pairs, self._positions[keyed]),
        )


def _falls(groups: NDArray[np.intp], positions: NDArray[np.intp]) -> int:
    """Return how many positions are below an earlier one of the same group."""
    if not positions.size:
        return 0
    order = np.argsort(groups, kind="stable")
    # Groups one above the other, so that the highest so far never belongs to an earlier group.
    heights = groups[order] * (int(positions.max()) + 1) + positions[order]
    return int((heights < np.maximum.accumulate(heights)).sum())


def _joined(columns: Iterable[Numbers]) -> Numbers:
    parts = list(columns)
    return np.concatenate(parts) if parts else NOTHING


def _ids(columns: Iterable[Numbers]) -> Numbers:
    return _distinct(_joined(columns))[0]


def _distinct(ids: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """Return each id once, sorted, and how often it was there.

    As ``np.unique`` does; numpy 2.4's takes a hash table for it, which is twenty times slower for millions.
    """
    ordered = np.sort(ids)
    starts = np.flatnonzero(_differs(ordered))
    return ordered[starts], np.diff(starts, append=ordered.size)


def _first_places(ids: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """Return each id once, sorted, and the place where it stood first."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = _differs(ordered)
    return ordered[starts], order[starts]


def _differs(ordered: Numbers) -> Mask:
    """Return where an id differs from the one before it."""
    return np.concatenate([np.ones(min(ordered.size, 1), dtype=bool), ordered[1:] != ordered[:-1]])


def _places_in(ordered: Numbers, ids: Numbers) -> NDArray[np.intp]:
    """Return where each id stands among the distinct ``ordered`` ones, -1 where it does not."""
    if not ordered.size:
        return np.full(ids.size, -1, dtype=np.intp)
    order = np.argsort(ids)  # looked up in order, neighbours are found near each other
    found = np.minimum(np.searchsorted(ordered, ids[order]), ordered.size - 1)
    places = np.empty(ids.size, dtype=np.intp)
    places[order] = np.where(ordered[found] == ids[order], found, -1)
    return places


def _among(ids: Numbers, others: Numbers) -> Numbers:
    return np.intersect1d(ids, others, assume_unique=True)


def _without(ids: Numbers, others: Numbers) -> Numbers:
    return np.setdiff1d(ids, others, assume_unique=True)
