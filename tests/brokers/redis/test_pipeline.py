"""Many messages under way at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.errors import Conflict, PublishInDoubt, PublishRefused
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", ["stream", "list", "channel"])
async def test_each_message_is_confirmed_and_counted(
    client: RedisClient, account: Account, name: str, kind: str
) -> None:
    async with getattr(client, kind)(name).pipeline(window=100, publisher="web") as pipeline:
        for number in range(1000):
            await pipeline.publish(number)
            assert pipeline.unanswered <= 100
    assert (pipeline.confirmed, pipeline.unanswered, pipeline.failed) == (1000, 0, [])
    place = Place("redis", name, "web")
    assert [account.feed.count(kind, place) for kind in (Kind.SENT, Kind.CONFIRMED)] == [1000, 1000]
    assert account.feed.count(Kind.UNHEARD, place) == (1000 if kind == "channel" else 0)


async def test_they_arrive_in_order_with_key_and_headers(client: RedisClient, name: str) -> None:
    async with client.stream(name).pipeline() as pipeline:
        for number in range(600):
            await pipeline.publish(number, key=str(number % 3), headers={"n": str(number)})
    entries = [entry async for entry in client.stream(name).replay()]
    assert [entry.value for entry in entries] == list(range(600))
    assert (entries[5].message.key, entries[5].message.headers) == ("2", {"n": "5"})


async def test_what_redis_refuses_is_refused_and_the_rest_confirmed(
    client: RedisClient, account: Account, name: str
) -> None:
    await client.list(name).push(1)
    with pytest.raises(PublishRefused, match="WRONGTYPE") as caught:
        async with client.stream(name).pipeline() as pipeline:
            await pipeline.publish(1)
    assert isinstance(caught.value, Conflict)
    assert caught.value.__cause__ is not None
    assert (pipeline.confirmed, len(pipeline.failed)) == (0, 1)
    assert account.feed.count(Kind.REFUSED, Place("redis", name, "shop")) == 1


async def test_what_a_dead_broker_never_got_is_refused(
    client: RedisClient, server: Server, name: str
) -> None:
    await server.kill()
    try:
        pipeline = client.stream(name).pipeline()
        for number in range(10):
            await pipeline.publish(number)
        await pipeline.drain()
    finally:
        await server.restart()
    assert len(pipeline.failed) == 10
    assert all(isinstance(failure, PublishRefused) for failure in pipeline.failed)


async def test_what_a_dying_broker_may_have_is_in_doubt(
    client: RedisClient, server: Server, account: Account, name: str
) -> None:
    pipeline = client.stream(name).pipeline(window=200)
    await server.pause()
    for number in range(200):
        await pipeline.publish(number)
    await until(lambda: client.pool.in_use == 1)
    await asyncio.sleep(0)  # it is written now, and the frozen broker does not answer
    await server.kill()
    try:
        await pipeline.drain()
    finally:
        await server.restart()
    assert len(pipeline.failed) == 200
    assert all(isinstance(one, PublishInDoubt) for one in pipeline.failed)
    assert account.ledger.verdict(channel=name).in_doubt == 200
