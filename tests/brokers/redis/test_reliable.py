"""Lists whose workers keep what they took until they are done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.errors import SettleFailed
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON = 0.2
"""A lease that has soon run out."""


async def reap(client: RedisClient, name: str) -> int:
    """Reap until something was put back."""
    while not (count := await client.list(name).reap()):
        pass
    return count


async def test_what_is_taken_is_held_until_it_is_acknowledged(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    await tasks.push(1)
    async with tasks.subscribe_reliably("worker") as worker:
        delivery = await anext(worker)
        assert (await tasks.depth(), await tasks.held("worker")) == (0, 1)
        async with delivery:
            pass
        assert (await tasks.depth(), await tasks.held("worker")) == (0, 0)


async def test_work_that_fails_gives_its_element_back_as_the_next(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    for number in range(2):
        await tasks.push(number)
    async with tasks.subscribe_reliably("worker") as worker:
        with pytest.raises(ZeroDivisionError):
            async with await anext(worker):
                raise ZeroDivisionError
        assert (await anext(worker)).value == 0


async def test_a_worker_that_comes_back_gets_first_what_it_held(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    for number in range(4):
        await tasks.push(number)
    worker = await tasks.subscribe_reliably("worker").open()
    for _ in range(2):
        await anext(worker)
    await worker.abandon()
    async with tasks.subscribe_reliably("worker") as again:
        came = [await anext(again) for _ in range(4)]
    assert [delivery.value for delivery in came] == [0, 1, 2, 3]
    assert [delivery.redelivered for delivery in came] == [True, True, None, None]


async def test_a_reaper_puts_back_what_dead_workers_held_in_its_order(
    client: RedisClient, another: RedisClient, account: Account, name: str
) -> None:
    tasks = client.list(name)
    for number in range(6):
        await tasks.push(number)
    worker = await another.list(name).subscribe_reliably("dies", lease=SOON).open()
    taken = [await anext(worker) for _ in range(3)]
    await taken[0].ack()
    await worker.abandon()
    assert await reap(client, name) == 2
    assert await tasks.workers() == []
    async with tasks.subscribe_reliably("worker") as heir:
        for _ in range(5):
            async with await anext(heir) as delivery:
                taken.append(delivery)
    assert [delivery.value for delivery in taken[3:]] == [1, 2, 3, 4, 5]
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.lost, verdict.settled, verdict.duplicated) == (0, 6, 2)


async def test_a_worker_that_lives_is_not_reaped(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    await tasks.push(1)
    async with tasks.subscribe_reliably("worker", lease=SOON) as worker:
        await anext(worker)
        beats = 0
        while beats < 5:  # longer than its lease: each beat sets the time that is left anew
            left = await client.native.pttl(tasks.alive("worker"))
            assert await tasks.reap() == 0
            while await client.native.pttl(tasks.alive("worker")) <= left:
                left = await client.native.pttl(tasks.alive("worker"))
            beats += 1
        assert await tasks.held("worker") == 1


async def test_a_worker_that_leaves_need_not_be_waited_for(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    await tasks.push(1)
    async with tasks.subscribe_reliably("worker", lease=3600) as worker:
        await anext(worker)
    assert await tasks.reap() == 1
    assert await tasks.depth() == 1


async def test_an_acknowledgement_after_the_reaper_fails_and_says_why(client: RedisClient, name: str) -> None:
    tasks = client.list(name)
    await tasks.push(1)
    async with tasks.subscribe_reliably("slow", lease=SOON) as slow:
        delivery = await anext(slow)
        await slow.stop_beating()
        await reap(client, name)
        with pytest.raises(SettleFailed, match="taken for dead"):
            await delivery.ack()
        with pytest.raises(SettleFailed):
            await delivery.give_back()
    assert await tasks.depth() == 1


async def test_what_is_put_aside_is_counted_as_such(client: RedisClient, account: Account, name: str) -> None:
    tasks = client.list(name)
    await tasks.push("nobody can work on this")
    async with tasks.subscribe_reliably("worker") as worker, await anext(worker) as delivery:
        await delivery.dead_letter()
    assert await client.list(tasks.dead_letters).depth() == 1
    place = Place("redis", name, "worker")
    kinds = Kind.DELIVERED, Kind.DEAD_LETTERED, Kind.SETTLED
    assert [account.feed.count(kind, place) for kind in kinds] == [1, 1, 0]


async def test_nothing_is_lost_over_a_kill_of_the_broker(
    client: RedisClient, server: Server, account: Account, name: str
) -> None:
    tasks = client.list(name)
    received: list[int] = []
    async with tasks.subscribe_reliably("worker") as worker:
        worker.run(lambda delivery: received.append(delivery.value))
        for number in range(50):
            await tasks.push(number)
        await client.native.execute_command("WAITAOF", 1, 0, 5000)
        await server.kill()
        await server.restart()
        for number in range(50, 100):
            await tasks.push(number)
        await until(lambda: len(set(received)) == 100)
    assert account.ledger.verdict(channel=name).lost == 0
