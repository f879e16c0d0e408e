"""Every cell on a real broker, once and small: each contestant delivers every message.

Nothing is said about times here. FastStream takes part where it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labkit.bench.cases import kinds
from labkit.bench.cell import Cell, Contestant, Operation
from labkit.bench.kind import Kind
from labkit.bench.measure import Pace, measure_cell
from labkit.bench.run import contestants
from labkit.bench.stage import MessagesLost, Stage
from labkit.brokers import BROKERS

if TYPE_CHECKING:
    from labkit.servers import Fleet

TINY = Pace(rounds=1, seconds=0.0, least=20)
CELLS = {
    f"{broker}-{kind.name}-{operation}".replace(" ", "-"): (kind, operation)
    for broker in BROKERS
    for kind in kinds(broker)
    for operation in kind.builds
}
every_cell = pytest.mark.parametrize(("kind", "operation"), CELLS.values(), ids=CELLS)


@every_cell
@pytest.mark.asyncio(loop_scope="session")
async def test_every_contestant_delivers_every_message(
    kind: Kind, operation: Operation, fleet: Fleet
) -> None:
    server = await fleet.start(kind.broker)
    cell = Cell(kind.broker, kind.name, operation, 128)
    (runs,) = await measure_cell(kind, cell, server.url, contestants(), TINY)
    assert set(runs) == set(kind.builds[operation]) & set(contestants())
    assert {run.count for run in runs.values()} == {20}


@every_cell
def test_raw_and_ours_take_part_in_every_cell(kind: Kind, operation: Operation) -> None:
    assert {Contestant.RAW, Contestant.OURS, Contestant.LEDGER} <= set(kind.builds[operation])


@pytest.mark.asyncio(loop_scope="session")
async def test_a_contestant_that_drops_a_message_is_caught(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without it, nobody knows whether a loss would be seen."""
    server = await fleet.start("nats")
    (kind, *_rest) = kinds("nats")
    honest = kind.builds[Operation.FIRE][Contestant.OURS]

    async def forgetful(stage: Stage) -> Any:
        publish = await honest(stage)

        async def publish_most(payload: bytes) -> None:
            if not payload.startswith(b"00000007"):
                await publish(payload)

        return publish_most

    monkeypatch.setitem(kind.builds[Operation.FIRE], Contestant.OURS, forgetful)
    cell = Cell("nats", kind.name, Operation.FIRE, 128)
    with pytest.raises(MessagesLost, match="by ours: 19 of 20"):
        await measure_cell(kind, cell, server.url, (Contestant.RAW, Contestant.OURS), TINY)
