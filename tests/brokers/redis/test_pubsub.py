"""Pub/Sub: who is there gets it, and nobody else."""

from __future__ import annotations

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account
from tests.support import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_publish_tells_how_many_subscribers_it_was_passed_to(client: RedisClient, name: str) -> None:
    async with client.channel(name).subscribe("billing"), client.channel(name).subscribe("audit"):
        assert await client.channel(name).publish(1) == 2


async def test_a_pattern_hears_every_channel_that_fits(client: RedisClient, name: str) -> None:
    async with client.pattern(f"{name}.*.paid").subscribe("billing") as billing:
        for channel in (f"{name}.a.paid", f"{name}.a.sent", f"{name}.b.c.paid"):
            await client.channel(channel).publish(channel)
        heard = [await anext(billing) for _ in range(2)]
    assert [one.message.channel for one in heard] == [f"{name}.a.paid", f"{name}.b.c.paid"]


async def test_whoever_hears_by_channel_and_by_pattern_hears_twice(client: RedisClient, name: str) -> None:
    async with client.channel(name).subscribe("a"), client.pattern(f"{name}*").subscribe("b"):
        assert await client.channel(name).publish(1) == 2


async def test_what_nobody_hears_is_lost_and_the_ledger_says_so(
    client: RedisClient, account: Account, name: str
) -> None:
    channel = client.channel(name)
    for number in range(10):
        await channel.publish(number)
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.confirmed, verdict.lost) == (10, 10)
    assert account.feed.count(Kind.UNHEARD, Place("redis", name, "shop")) == 10


async def test_a_lost_connection_is_counted_because_messages_may_be_missing(
    client: RedisClient, another: RedisClient, name: str
) -> None:
    async with client.channel(name).subscribe("billing") as billing:
        await another.native.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: billing.interruptions == 1)
        while not await another.channel(name).publish("again"):
            pass
        assert (await anext(billing)).value == "again"
