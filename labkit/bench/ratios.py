"""Medians of ratios, and what they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.bench.cell import Contestant

__all__ = [
    "AHEAD",
    "TARGETS",
    "Ratio",
    "Run",
    "median_of",
    "misses",
    "order_of",
    "percentile",
    "ratio_to_raw",
]

TARGETS = {Contestant.OURS: 0.97, Contestant.LEDGER: 0.85}
"""The least a contestant's median ratio to raw should be."""

AHEAD = Contestant.OURS
"""Who should be ahead of FastStream: it is not observed either."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant's part of one round. Seconds; ``p50`` and ``p99`` only where replies were waited for."""

    count: int
    seconds: float
    cpu_seconds: float
    p50: float | None = None
    p99: float | None = None

    @property
    def each(self) -> float:
        """Seconds a message."""
        return self.seconds / self.count

    @property
    def cpu_each(self) -> float:
        """Seconds a message of this process's processor time; it hardly depends on who else is at work."""
        return self.cpu_seconds / self.count


@dataclass(frozen=True, slots=True)
class Ratio:
    """How a contestant did beside raw: the median over all rounds, and the extremes. 1.0 is as fast."""

    median: float
    least: float
    most: float


def order_of(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """Return who goes when: forth in one round, back in the next, so that no place is an advantage."""
    return list(contestants) if number % 2 == 0 else list(reversed(contestants))


def percentile(latencies: Sequence[float], share: float) -> float:
    """Return the latency that ``share`` of all do not exceed."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio_to_raw(
    rounds: Sequence[Mapping[Contestant, Run]], contestant: Contestant, measure: str = "each"
) -> Ratio:
    """Return raw's time over this contestant's, each with the raw of the same round."""
    ratios = [getattr(runs[Contestant.RAW], measure) / getattr(runs[contestant], measure) for runs in rounds]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def median_of(rounds: Sequence[Mapping[Contestant, Run]], contestant: Contestant, measure: str) -> float:
    """Return the median over all rounds of one of a contestant's numbers."""
    numbers: list[float] = [getattr(runs[contestant], measure) for runs in rounds]
    return statistics.median(numbers)


def misses(ratios: Mapping[Contestant, Ratio]) -> list[str]:
    """Return the targets that are missed, in words; none of them is best."""
    found = [
        f"{contestant} {ratios[contestant].median:.2f} < {least}"
        for contestant, least in TARGETS.items()
        if contestant in ratios and ratios[contestant].median < least
    ]
    faststream, ours = ratios.get(Contestant.FASTSTREAM), ratios.get(AHEAD)
    if faststream is not None and ours is not None and ours.median <= faststream.median:
        found.append(f"{AHEAD} {ours.median:.2f} behind FastStream {faststream.median:.2f}")
    return found
