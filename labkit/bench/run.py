"""The whole benchmark: which cells, on real brokers, with a word about each as it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from labkit.bench.cases import kinds
from labkit.bench.cell import SIZES, Cell, Contestant
from labkit.bench.kind import Kind
from labkit.bench.measure import Pace, measure_cell
from labkit.bench.results import CellResult, Results, machine, package_versions
from labkit.errors import ProgramMissing
from labkit.servers import Fleet

__all__ = ["Plan", "contestants", "planned", "run_plan"]

NO_FASTSTREAM = (
    "FastStream does not take part: it is not installed here; `make bench` installs it, "
    "or `pip install 'broker-lab[bench]'`."
)


@dataclass(frozen=True)
class Plan:
    """What is to be measured. ``only`` are words that a cell's name has to contain."""

    brokers: Sequence[str]
    pace: Pace
    sizes: Sequence[int] = SIZES
    only: Sequence[str] = ()


def contestants() -> tuple[Contestant, ...]:
    """Return who can take part here."""
    everybody = tuple(Contestant)
    return everybody if find_spec("faststream") else everybody[:-1]


def planned(plan: Plan, broker: str) -> list[tuple[Kind, Cell]]:
    """Return the cells of this broker, kind by kind."""
    cells = [
        (kind, Cell(broker, kind.name, operation, size))
        for kind in kinds(broker)
        for operation, builds in kind.builds.items()
        if Contestant.OURS in builds
        for size in plan.sizes
    ]
    return [(kind, cell) for kind, cell in cells if all(word in str(cell) for word in plan.only)]


async def run_plan(
    plan: Plan,
    *,
    on_round: Callable[[Cell, int], None] = lambda cell, number: None,
    on_cell: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Measure everything that is planned. A broker that this machine has not is left out, and noted.

    ``on_cell`` gets what there is so far after each cell, the newest last.
    """
    who = contestants()
    notes = [] if Contestant.FASTSTREAM in who else [NO_FASTSTREAM]
    results = Results(plan.pace, package_versions(), machine(), notes)
    fleet = await Fleet.open()
    try:
        for broker in plan.brokers:
            try:
                server = await fleet.start(broker)
            except ProgramMissing as missing:
                notes.append(str(missing))
                print(missing, file=sys.stderr)
                continue
            results.versions[f"{broker} server"] = server.version
            for kind, cell in planned(plan, broker):
                result = await _measured(kind, cell, server.url, who, plan.pace, on_round)
                results.cells.append(result)
                on_cell(results)
            await server.stop()  # so that it does not disturb the next
    finally:
        await fleet.close()
    return results


async def _measured(
    kind: Kind,
    cell: Cell,
    url: str,
    who: Sequence[Contestant],
    pace: Pace,
    on_round: Callable[[Cell, int], None],
) -> CellResult:
    """Return a cell's result: one that fails must not cost the others theirs."""
    rounds_begun = 0

    def tell() -> None:
        nonlocal rounds_begun
        rounds_begun += 1
        on_round(cell, rounds_begun)

    try:
        return CellResult(cell, await measure_cell(kind, cell, url, who, pace, tell))
    except Exception as error:
        return CellResult(cell, (), f"{type(error).__name__}: {error}")
