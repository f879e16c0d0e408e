"""A connected client on a real RabbitMQ, and what it reports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.feed import Feed
from labkit.servers import Fleet
from labkit.servers.process import ProcessServer
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

    async def ask(code: str) -> str:
        erlang = server.program.parts["erlang"]
        process = await asyncio.create_subprocess_exec(
            *(str(erlang / "bin" / "erl_call"), "-address", f"localhost:{server.ports['cluster']}"),
            *("-c", "lab", "-e"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "HOME": str(server.folder / "home")},
        )
        told, _ = await process.communicate(f"{code}\n".encode())
        assert told.startswith(b"{ok,"), told
        return told.decode()

    return ask
