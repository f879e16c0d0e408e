"""A connected client on a real RabbitMQ, and what it reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.feed import Feed
from labkit.servers import Fleet
from labkit.servers.process import ProcessServer
from tests.brokers.rabbitmq.support import evaluated
from tests.support import unique

Evaluate = Callable[[str], Awaitable[str]]


@pytest_asyncio.fixture(loop_scope="session")
async def server(fleet: Fleet) -> Any:
    return await fleet.start("rabbitmq")


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Any, feed: Feed) -> AsyncIterator[RabbitmqClient]:
    client = RabbitmqClient(server.url, feed)
    async with client:
        yield client


@pytest.fixture
def name() -> str:
    return unique("orders")


@pytest.fixture
def evaluate(server: ProcessServer) -> Evaluate:
    """Return what has the broker evaluate a line of Erlang, as ``rabbitmqctl eval`` does."""

    return partial(evaluated, server)
