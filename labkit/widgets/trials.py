"""Experiments of several kinds of channel, tried on running brokers: one at a time on each broker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.brokers.experiment import Experiments, Seen
from labkit.guarantees import Aspect, Claim
from labkit.servers.server import Server, State

__all__ = ["Outcome", "Spot", "Trials"]

EXPERIMENT_SECONDS = 90.0
"""Most take a second or two, and a restart of the broker; this one only ends what hangs."""


class Spot(NamedTuple):
    """One cell of the table: a kind of channel, by its place among the trials' kinds, and what is asked."""

    at: int
    aspect: Aspect


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one experiment: what was seen, or the error it ended with."""

    claim: Claim
    seen: Seen | None
    error: str = ""

    @property
    def word(self) -> str:
        """One of "shown", "otherwise" and "failed"."""
        if self.seen is None:
            return "failed"
        return "shown" if self.seen.answer is self.claim.answer else "otherwise"


class Trials:
    """Runs experiments, and knows which wait, which run, and what came of each."""

    def __init__(self, kinds: Sequence[Experiments[Any]], servers: Mapping[str, Server]) -> None:
        self.kinds = tuple(kinds)
        self.outcomes: dict[Spot, Outcome] = {}
        self.waiting: set[Spot] = set()
        self.running: set[Spot] = set()
        self.done = 0
        self.total = 0
        self.is_stopped = False
        self._servers = servers
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def is_busy(self) -> bool:
        """Whether an experiment runs or waits."""
        return bool(self.waiting or self.running)

    def claim(self, spot: Spot) -> Claim:
        """Return what is claimed there."""
        return self.kinds[spot.at].guarantees.claims[spot.aspect]

    def state(self, spot: Spot) -> str:
        """Return "waiting", "running", the outcome's word, or nothing for what was not tried."""
        if spot in self.running:
            return "running"
        if spot in self.waiting:
            return "waiting"
        return self.outcomes[spot].word if spot in self.outcomes else ""

    async def run(self, spots: Collection[Spot]) -> None:
        """Try these one after another; returns when each has its outcome, or ``stop`` was called."""
        self._expect(spots)
        for spot in spots:
            # Whoever asks for a spot that somebody else tries just now waits for that.
            async with self._turns[self.kinds[spot.at].broker]:
                if spot in self.waiting:
                    await self._try(spot)

    def stop(self) -> None:
        """Try nothing more. What runs comes to its end: it may have to start its broker again."""
        self.is_stopped = bool(self.waiting)
        self.waiting.clear()

    def _expect(self, spots: Collection[Spot]) -> None:
        if not self.is_busy:
            self.done = self.total = 0
        self.is_stopped = False
        new = set(spots) - self.waiting - self.running
        self.waiting |= new
        self.total += len(new)

    async def _try(self, spot: Spot) -> None:
        self.waiting.discard(spot)
        self.running.add(spot)
        try:
            self.outcomes[spot] = await self._outcome(spot)
            self.done += 1
        finally:
            self.running.discard(spot)

    async def _outcome(self, spot: Spot) -> Outcome:
        kind, claim = self.kinds[spot.at], self.claim(spot)
        server = self._servers[kind.broker]
        try:
            async with asyncio.timeout(EXPERIMENT_SECONDS) as deadline:
                return Outcome(claim, await kind.run(spot.aspect, server))
        except Exception as error:  # whatever it is, it belongs to this cell, and the next may go well
            told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if deadline.expired():
                told = f"It had not ended after {EXPERIMENT_SECONDS:g} seconds."
            return Outcome(claim, None, told + await _revive(server))


async def _revive(server: Server) -> str:
    """Have the broker run again after an experiment that left it down; return what to say about it."""
    try:
        if server.state is State.PAUSED:
            await server.resume()
        elif server.state in (State.DEAD, State.STOPPED):
            await server.restart()
    except Exception as error:
        return f"\nThe broker did not come back: {error}"
    return ""
