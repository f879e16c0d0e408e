"""Every pattern on every broker: one connected client each, on the brokers that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from labkit.brokers import BROKERS, new_client

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def server(broker: str, fleet: Fleet) -> Server:
    return await fleet.start(broker)


@pytest_asyncio.fixture(loop_scope="session")
async def client(broker: str, server: Server) -> AsyncIterator[Any]:
    client = new_client(broker, server.url)
    await client.open()
    yield client
    await client.close()
