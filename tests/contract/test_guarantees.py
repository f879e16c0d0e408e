"""Every claim about a kind of channel is what its broker shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labkit.brokers import all_experiments
from labkit.brokers.experiment import Experiments
from labkit.guarantees import QUESTIONS, Aspect

if TYPE_CHECKING:
    from labkit.servers import Fleet

KINDS = {f"{kind.broker}-{kind.channel}".replace(" ", "-"): kind for kind in all_experiments()}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("aspect", [pytest.param(one, id=one.replace(" ", "-")) for one in Aspect])
@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
async def test_what_is_claimed_is_what_the_broker_shows(
    kind: Experiments[Any], aspect: Aspect, fleet: Fleet
) -> None:
    server = await fleet.start(kind.broker)
    seen = await kind.run(aspect, server)
    claim = kind.guarantees.claims[aspect]
    assert seen.answer is claim.answer, f"{claim.words!r} is claimed, and seen was {seen.words!r}"
    assert seen.words


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
def test_every_kind_answers_every_question(kind: Experiments[Any]) -> None:
    assert list(kind.guarantees.claims) == list(QUESTIONS) == list(Aspect)
    assert all(claim.words for claim in kind.guarantees.claims.values())


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
async def test_a_claim_names_the_version_it_was_shown_on(kind: Experiments[Any], fleet: Fleet) -> None:
    server = await fleet.start(kind.broker)
    assert server.version.startswith(f"{kind.guarantees.shown_on}."), "say anew what it was shown on"
