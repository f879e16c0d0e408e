"""One cell: every contestant on a stage of its own, in turns, each run checked for lost messages."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from labkit.bench.cell import Cell, Contestant, Operation, make_payloads
from labkit.bench.kind import Kind, Work
from labkit.bench.ratios import Run, order_of, percentile
from labkit.bench.stage import MessagesLost, Stage, reading
from labkit.events import Observer
from labkit.feed import Feed, Several
from labkit.ledger import Ledger

__all__ = ["Pace", "measure_cell"]

RUN_BYTES = 16 * 1024 * 1024
"""The most payload of one run: Redis cuts a subscriber off that is 32 MB behind."""

RUN_COUNT = 50_000
CHECK_COUNT = 20
"""Messages of the first run, which is not measured."""

RUN_SECONDS = 60.0
"""A run that takes longer has stalled."""

RECEIVES = (Operation.CONSUME, Operation.HANDLE)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done: counted rounds, and how long raw's part of one should take, in seconds."""

    rounds: int = 9
    seconds: float = 0.15
    least: int = 50
    """The least number of messages of a run, however slow it is."""


class _Player:
    """One contestant on its stage."""

    def __init__(self, kind: Kind, cell: Cell, contestant: Contestant, url: str) -> None:
        self.contestant = contestant
        self._kind = kind
        self._operation = cell.operation
        self._feed = Feed() if contestant in (Contestant.FEED, Contestant.LEDGER) else None
        self._stage = Stage(kind.broker, url, f"bench-{next(_numbers)}-{contestant}", self._observer())
        self._who = f"{cell} by {contestant}"
        self._work: Work

    def _observer(self) -> Observer | None:
        if self._feed is None or self.contestant is Contestant.FEED:
            return self._feed
        return Several(self._feed, Ledger())

    async def open(self) -> None:
        stage = self._stage
        await self._kind.make(stage.url, stage.name)
        stage.at_close(self._kind.remove, stage.url, stage.name)
        self._work = await self._kind.builds[self._operation][self.contestant](stage)

    async def close(self) -> None:
        await self._stage.close()

    async def check(self, payloads: Sequence[bytes]) -> None:
        """Do a first run, and raise ``MessagesLost`` if not every message of it reached the broker."""
        if self._operation in (*RECEIVES, Operation.REQUEST):
            await self.run(payloads)
            return
        async with self._kind.watch(self._stage.url, self._stage.name) as arrived:
            await self.run(payloads, empty=False)
            deadline = time.monotonic() + 10.0
            while (there := await arrived()) != len(payloads):
                if time.monotonic() > deadline:
                    raise MessagesLost(
                        f"{self._who}: {there} of {len(payloads)} messages reached the broker."
                    )
                await asyncio.sleep(0.01)
        await self._kind.empty(self._stage.url, self._stage.name)

    async def run(self, payloads: Sequence[bytes], *, empty: bool = True) -> Run:
        """Do the operation once for each payload, and return what it took."""
        stage = self._stage
        stage.received.expect(len(payloads))
        latencies: list[float] = []
        if self._operation in RECEIVES:
            _while_our_loop_stands_still(self._kind.fill(stage.url, stage.name, payloads))
        gc.collect()
        try:
            async with asyncio.timeout(RUN_SECONDS), reading(self._feed) if self._feed else nullcontext():
                cpu, began = time.process_time(), time.perf_counter()
                await self._do(payloads, latencies)
                if stage.finish is not None:
                    await stage.finish()
                seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        except TimeoutError as error:
            raise MessagesLost(f"{self._who}: stalled, {len(stage.received.payloads)} came.") from error
        if self._operation in (*RECEIVES, Operation.REQUEST):
            stage.received.check(payloads, self._who)
        elif empty:
            await self._kind.empty(stage.url, stage.name)
        if not latencies:
            return Run(len(payloads), seconds, cpu_seconds)
        p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
        return Run(len(payloads), seconds, cpu_seconds, p50, p99)

    async def _do(self, payloads: Sequence[bytes], latencies: list[float]) -> None:
        work = self._work
        if self._operation is Operation.PIPELINE:
            await work(payloads)
        elif self._operation in RECEIVES:
            await work(len(payloads))
        elif self._operation is Operation.REQUEST:
            for payload in payloads:
                asked = time.perf_counter()
                self._stage.received.take(await work(payload))
                latencies.append(time.perf_counter() - asked)
        else:
            for payload in payloads:
                await work(payload)


async def measure_cell(
    kind: Kind,
    cell: Cell,
    url: str,
    contestants: Sequence[Contestant],
    pace: Pace,
    tell: Callable[[], None] = lambda: None,
) -> list[dict[Contestant, Run]]:
    """Return each round's runs. ``tell`` is called before each round.

    Raises ``MessagesLost`` if a contestant did not deliver everything, in any round.
    """
    able = [one for one in contestants if one in kind.builds[cell.operation]]
    async with _players(kind, cell, able, url) as players:
        for player in players.values():
            await player.check(make_payloads(CHECK_COUNT, cell.size))
        count = await _fitting_count(players[Contestant.RAW], cell.size, pace)
        payloads = make_payloads(count, cell.size)
        warm = {one: await players[one].run(payloads) for one in able}
        share = {one: payloads[: _share(run, pace)] for one, run in warm.items()}
        rounds: list[dict[Contestant, Run]] = []
        for number in range(pace.rounds):
            tell()
            rounds.append({one: await players[one].run(share[one]) for one in order_of(able, number)})
        return rounds


@asynccontextmanager
async def _players(
    kind: Kind, cell: Cell, contestants: Sequence[Contestant], url: str
) -> AsyncIterator[dict[Contestant, _Player]]:
    async with AsyncExitStack() as exits:
        players = {}
        for contestant in contestants:
            player = players[contestant] = _Player(kind, cell, contestant, url)
            exits.push_async_callback(player.close)
            await player.open()
        yield players


async def _fitting_count(raw: _Player, size: int, pace: Pace) -> int:
    """Return how many messages raw does in the time wanted, within what a run may be."""
    most = max(pace.least, min(RUN_COUNT, RUN_BYTES // size))
    count = min(most, max(pace.least, CHECK_COUNT))
    while True:
        run = await raw.run(make_payloads(count, size))
        fitting = min(most, max(pace.least, int(pace.seconds / run.each)))
        if fitting <= count * 2:
            return fitting
        count = min(fitting, count * 8)


def _share(run: Run, pace: Pace) -> int:
    """Return how many messages a contestant gets: fewer if it takes over four times what is wanted."""
    return min(run.count, max(pace.least, int(4 * pace.seconds / run.each)))


def _while_our_loop_stands_still(work: Coroutine[Any, Any, None]) -> None:
    """Do this in another thread's event loop, so that nobody here can begin to receive meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
