"""A crash between any two steps of an order, all of them, on one broker; the others have a smaller set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from labkit.brokers import new_client
from labkit.patterns.saga import Outcome, Phase, Saga
from labkit.patterns.saga.steps import PLACED, after, command_of
from tests.patterns.saga_shops import Shops

if TYPE_CHECKING:
    from labkit.servers import Fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")

Where = tuple[str, str, str]


def commands(failing: str) -> list[tuple[str, str, Outcome]]:
    """Return what is done to an order: by which program, the command, and its outcome."""
    saga, found = Saga(), []
    while (command := command_of(saga)) is not None:
        outcome = Outcome.REFUSED if command.name == failing else Outcome.DONE
        found.append((command.program, command.name, outcome))
        saga = after(saga, command.name, outcome)
    return found


def orchestrated(failing: str) -> list[Where]:
    """Return every place where a program may die while an orchestrator leads order 1."""
    places: list[Where] = []
    for program, command, outcome in commands(failing):
        told, reply = f"1:{command}", f"1:{command}:{outcome}"
        places += [("orders", "published", told), (program, "received", told), (program, "committed", told)]
        places += [
            (program, "published", reply),
            ("orders", "received", reply),
            ("orders", "committed", reply),
        ]
    return places


def choreographed(failing: str) -> list[Where]:
    """Return the same where nobody leads: each event is what the next program acts on."""
    heard = f"1:{PLACED}:{Outcome.DONE}"
    places: list[Where] = [("orders", "published", heard)]
    for program, command, outcome in commands(failing):
        places += [(program, "received", heard), (program, "committed", heard)]
        heard = f"1:{command}:{outcome}"
        places += [
            (program, "published", heard),
            ("orders", "received", heard),
            ("orders", "committed", heard),
        ]
    return places


CASES = [
    pytest.param(style, failing, where, id=f"{style}-{failing or 'all done'}-{'-'.join(where)}")
    for style, places in (("orchestrated", orchestrated), ("choreographed", choreographed))
    for failing in ("", "charge")
    for where in places(failing)
]


@pytest_asyncio.fixture(loop_scope="session")
async def shops(fleet: Fleet, tmp_path: Path) -> AsyncIterator[Shops]:
    server = await fleet.start("redis")
    async with new_client("redis", server.url) as client:
        shops = Shops(client, tmp_path)
        yield shops
        await shops.close()


@pytest.mark.parametrize(("style", "failing", "where"), CASES)
async def test_a_crash_at_any_point_changes_nothing_of_the_end(
    shops: Shops, style: Any, failing: str, where: Where
) -> None:
    shop = await shops.open(style=style)
    shop.world.declines = lambda _: failing == "charge"
    end = Phase.COMPENSATED if failing else Phase.COMPLETED
    assert await shop.crash_at(*where, 1) == [end]
    shop.books().check_at_rest()
