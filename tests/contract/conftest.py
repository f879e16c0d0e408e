"""Every channel kind, connected to a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.contract.kinds import KINDS, ChannelKind

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server


@pytest.fixture(params=sorted(KINDS))
def kind_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def server(kind_name: str, fleet: Fleet) -> Server:
    return await fleet.start(KINDS[kind_name].broker)


@pytest_asyncio.fixture(loop_scope="session")
async def kind(kind_name: str, server: Server) -> AsyncIterator[ChannelKind]:
    kind = KINDS[kind_name](server.url)
    await kind.open()
    yield kind
    await kind.client.close()
