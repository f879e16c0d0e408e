"""Lists whose workers take elements for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_push_tells_the_length_and_depth_too(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    assert [await tasks.push(number) for number in range(3)] == [1, 2, 3]
    assert await tasks.depth() == 3
    await tasks.delete()
    assert await tasks.depth() == 0


async def test_each_element_goes_to_one_worker(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    received: dict[str, list[int]] = {"a": [], "b": []}
    for worker, numbers in received.items():
        (await tasks.subscribe(worker).open()).run(lambda one, numbers=numbers: numbers.append(one.value))
    for number in range(100):
        await tasks.push(number)
    await until(lambda: sum(map(len, received.values())) == 100)
    assert sorted(received["a"] + received["b"]) == list(range(100))


async def test_a_list_carries_bytes_and_nothing_else(client: RedisClient, name: str) -> None:
    await client.list(name).push(b"\x00\xff")
    async with client.list(name).subscribe("worker") as worker:
        delivery = await anext(worker)
    assert (delivery.data, delivery.message.headers, delivery.message.key) == (b"\x00\xff", None, None)
    assert delivery.native == [name.encode(), b"\x00\xff"]


async def test_leaving_loses_nothing_though_a_question_is_always_under_way(
    client: RedisClient, account: Account, name: str
) -> None:
    tasks = client.list(name)
    pushing = asyncio.create_task(_push(client, name, 300))
    received: list[int] = []
    while not pushing.done():
        worker = await tasks.subscribe("worker").open()
        worker.run(lambda delivery: received.append(delivery.value))
        await asyncio.sleep(0)
        await worker.close()
    await pushing
    left = await tasks.depth()
    assert len(received) + left == 300
    assert received == sorted(received)


async def _push(client: RedisClient, name: str, count: int) -> None:
    for number in range(count):
        await client.list(name).push(number)


async def test_what_a_worker_dies_over_is_lost_and_the_ledger_says_so(
    client: RedisClient, another: RedisClient, account: Account, name: str
) -> None:
    for number in range(3):
        await client.list(name).push(number)
    worker = await another.list(name).subscribe("dies").open()
    await another.native.execute_command("BRPOP", name, 1)  # has left Redis, has not reached the program
    await worker.abandon()
    async with client.list(name).subscribe("worker") as again:
        assert [(await anext(again)).value for _ in range(2)] == [1, 2]
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (3, 2, 1)


async def test_a_worker_hears_again_after_the_broker_was_killed(
    client: RedisClient, server: Server, name: str
) -> None:
    async with client.list(name).subscribe("worker") as worker:
        waiting = asyncio.create_task(anext(worker))
        await asyncio.sleep(0)
        await server.kill()
        await server.restart()
        await client.list(name).push("again")
        assert (await waiting).value == "again"


async def test_a_push_is_counted(client: RedisClient, account: Account, name: str) -> None:
    await client.list(name).push(1, publisher="web")
    place = Place("redis", name, "web")
    assert [account.feed.count(kind, place) for kind in (Kind.SENT, Kind.CONFIRMED)] == [1, 1]


async def test_a_delayed_element_is_not_there_before_its_time(
    client: RedisClient, account: Account, name: str
) -> None:
    tasks = client.list(name)
    delayed = client.delayed(tasks)
    for delay in (3600, 0):
        await delayed.publish("the same", delay=delay)
    assert await delayed.depth() == 2  # alike, and both there
    assert await delayed.move_due() == 1
    assert (await tasks.depth(), await delayed.depth()) == (1, 1)
    assert account.feed.count(Kind.CONFIRMED, Place("redis", name, "shop")) == 2
