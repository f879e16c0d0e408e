"""A connected client on the shared Redis, and Redis servers of a test's own with settings of their own."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from labkit.brokers.redis import program
from labkit.brokers.redis.client import RedisClient
from labkit.feed import Feed, Several
from labkit.ledger import Ledger
from labkit.servers.ports import free_ports
from tests.conftest import require
from tests.support import ends_with_us, unique

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server

__all__ = ["OwnRedis"]


class OwnRedis:
    """A Redis server of a test's own: killed and started again as the test likes."""

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        self.port = free_ports({"client": 0})["client"]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._settings = settings

    async def start(self, *more: str) -> None:
        """Start it; returns when it answers, with data or an error."""
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        argv = (*ends_with_us(), str(program.find().path), *where, "--save", "", *self._settings, *more)
        self._process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
        async with (
            asyncio.timeout(20),
            redis.asyncio.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as probe,
        ):
            while True:
                try:
                    await probe.ping()
                    return
                except RedisError as error:
                    if "AUTH" in str(error) or "auth" in str(error):
                        return
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


StartRedis = Callable[..., Awaitable[OwnRedis]]


@pytest_asyncio.fixture(loop_scope="session")
async def start_redis(tmp_path: Path) -> AsyncIterator[StartRedis]:
    """What starts a Redis with these settings: ``await start_redis("--maxmemory", "3mb")``."""
    require("redis")
    started: list[OwnRedis] = []

    async def start(*settings: str) -> OwnRedis:
        server = OwnRedis(tmp_path, settings)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def server(fleet: Fleet) -> Server:
    return await fleet.start("redis")


class Account(Several):
    """A feed and a ledger."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.ledger = Ledger()
        super().__init__(self.feed, self.ledger)


@pytest_asyncio.fixture(loop_scope="session")
async def account() -> Account:
    return Account()


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Server, account: Account) -> AsyncIterator[RedisClient]:
    """A connected client, whose account is ``account``."""
    async with RedisClient(server.url, account) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def another(server: Server, account: Account) -> AsyncIterator[RedisClient]:
    """Another program's client."""
    async with RedisClient(server.url, account) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def name() -> str:
    return unique("redis")
