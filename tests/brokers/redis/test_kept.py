"""What is there after SIGKILL, with each way of writing it down; measured on Redis 7.0 before."""

from __future__ import annotations

import asyncio

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.errors import NotFound
from labkit.ledger import Ledger
from labkit.verdict import Verdict
from tests.brokers.redis.conftest import StartRedis

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def after_a_kill(start_redis: StartRedis, *settings: str) -> Verdict:
    """Add 2000 entries to a stream, kill the server, read what is left, and return the account."""
    ledger = Ledger()
    server = await start_redis(*settings)
    async with RedisClient(server.url, ledger) as client:
        async with client.stream("events").pipeline() as pipeline:
            for number in range(2000):
                await pipeline.publish(number)
        if "everysec" in settings:  # it may wait for a busy disk for up to two seconds
            await client.native.execute_command("WAITAOF", 1, 0, 5000)
        await server.kill()
        await server.start()
        async for _ in client.stream("events").replay(reader="audit"):
            pass
    return ledger.verdict()


async def test_without_an_append_only_file_everything_confirmed_is_lost(start_redis: StartRedis) -> None:
    verdict = await after_a_kill(start_redis, "--appendonly", "no")
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (2000, 0, 2000)


@pytest.mark.parametrize("policy", ["everysec", "always"])
async def test_with_an_append_only_file_nothing_confirmed_is_lost(
    start_redis: StartRedis, policy: str
) -> None:
    verdict = await after_a_kill(start_redis, "--appendonly", "yes", "--appendfsync", policy)
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (2000, 2000, 0)


async def test_acknowledgements_and_pending_entries_survive_a_kill(start_redis: StartRedis) -> None:
    server = await start_redis("--appendonly", "yes", "--appendfsync", "always")
    async with RedisClient(server.url) as client:
        group = await client.stream("events").group("processors")
        for number in range(10):
            await client.stream("events").add(number)
        worker = await group.subscribe("worker").open()
        for _ in range(4):
            await (await anext(worker)).ack()
        await worker.abandon()
        await server.kill()
        await server.start()
        pending = await group.pending()
        assert [row.attempts for row in pending] == [1] * 6
        async with group.subscribe("worker") as again:
            assert [(await anext(again)).value for _ in range(6)] == list(range(4, 10))


async def test_a_group_that_a_kill_took_is_missed_at_once(start_redis: StartRedis) -> None:
    server = await start_redis("--appendonly", "no")
    async with RedisClient(server.url) as client:
        group = await client.stream("events").group("processors")
        async with group.subscribe("worker") as worker:
            waiting = asyncio.create_task(anext(worker))
            await asyncio.sleep(0)
            await server.kill()
            await server.start()
            with pytest.raises(NotFound, match="events"):
                await waiting
