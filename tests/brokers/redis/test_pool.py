"""Connections: so many and no more, and none that ends a question early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis import pool
from labkit.brokers.redis.client import RedisClient
from labkit.errors import ChannelClosed, NoAnswer, PublishRefused
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_tells_its_size_and_what_is_in_use(server: Server, name: str) -> None:
    async with RedisClient(server.url, pool=3) as client:
        waiting = asyncio.create_task(client.native.blpop([name], timeout=30))
        await until(lambda: client.pool.in_use == 1)
        assert client.pool.size == 3
        await client.list(name).push(1)
        await waiting
        assert client.pool.in_use == 0


async def test_no_more_connections_are_made_than_its_size(server: Server, name: str) -> None:
    async with RedisClient(server.url, pool=3) as client:
        tasks = client.list(name)
        await asyncio.gather(*(tasks.push(number) for number in range(100)))
        assert await tasks.depth() == 100
        assert sum(client.pool[1:]) == 3


async def test_who_finds_none_free_is_told_and_nothing_was_sent(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FREE_SECONDS", 0.1)
    async with RedisClient(server.url, pool=1) as client:
        waiting = asyncio.create_task(client.native.blpop([name], timeout=30))
        await until(lambda: client.pool.in_use == 1)
        with pytest.raises(PublishRefused, match="all 1 connections of the pool were in use"):
            await client.list(name).push(1)
        with pytest.raises(NoAnswer, match="larger pool"):
            await client.list(name).depth()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await client.list(name).depth() == 0


async def test_idle_connections_above_the_stated_number_are_closed(server: Server, name: str) -> None:
    async with RedisClient(server.url, pool=8, idle=2) as client:
        client.connections.idle_seconds = 0.05
        await asyncio.gather(*(client.list(name).push(number) for number in range(50)))
        await until(lambda: client.pool == (8, 0, 2))
        assert await client.list(name).depth() == 50


async def test_connections_that_are_needed_again_and_again_stay(server: Server, name: str) -> None:
    async with RedisClient(server.url, pool=8, idle=2) as client:
        client.connections.idle_seconds = 1000.0
        for _ in range(5):
            await asyncio.gather(*(client.list(name).push(number) for number in range(8)))
        assert client.pool.idle == 8


async def test_subscribers_take_none_of_the_pools_connections(server: Server, name: str) -> None:
    async with RedisClient(server.url, pool=1) as client:
        for number in range(5):
            await client.list(name).subscribe(f"worker-{number}").open()
        assert await client.list(name).push(1) == 1


@pytest.mark.timeout(60)
async def test_the_native_client_waits_as_long_as_it_is_told_to(server: Server, name: str) -> None:
    """redis-py by itself raises TimeoutError after 5 s, and retries ten times, which takes a minute."""
    async with RedisClient(server.url) as client:
        assert await client.native.brpop([name], timeout=6) is None


async def test_a_client_that_is_closed_says_so(server: Server, name: str) -> None:
    client = await RedisClient(server.url).open()
    await client.close()
    for call in (client.list(name).push(1), client.stream(name).add(1), client.list(name).depth()):
        with pytest.raises(ChannelClosed):
            await call
