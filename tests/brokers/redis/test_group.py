"""Consumer groups: shared work, and what was handed out and not finished."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.channels.group import Pending
from labkit.brokers.redis.client import RedisClient
from labkit.errors import NotFound, SettleFailed
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_entry_goes_to_one_worker_of_each_group(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    received: dict[str, list[int]] = {}
    for group_name in ("billing", "shipping"):
        group = await events.group(group_name)
        for worker in ("a", "b"):
            numbers = received.setdefault(f"{group_name}.{worker}", [])
            subscription = await group.subscribe(f"{group_name}.{worker}").open()
            subscription.run(lambda delivery, numbers=numbers: numbers.append(delivery.value))
    for number in range(100):
        await events.add(number)
    await until(lambda: sum(map(len, received.values())) == 200)
    for group_name in ("billing", "shipping"):
        both = received[f"{group_name}.a"] + received[f"{group_name}.b"]
        assert sorted(both) == list(range(100))


async def test_a_group_begins_where_it_is_told_to(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    ids = [await events.add(number) for number in range(3)]
    starts = {"first": "first", "second": ids[0], "new": "new"}
    groups = {word: await events.group(word, start=start) for word, start in starts.items()}
    await events.add(3)
    for word, expected in (("first", 0), ("second", 1), ("new", 3)):
        async with groups[word].subscribe("worker") as worker:
            assert (await anext(worker)).value == expected


async def test_a_group_that_exists_stays_where_it_is(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    await events.group("processors")
    await events.add(1)
    group = await events.group("processors", start="new")
    assert (await group.info()).lag == 1


async def test_what_is_pending_tells_worker_and_attempts(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    group = await events.group("processors")
    ids = [await events.add(number) for number in range(4)]
    async with group.subscribe("worker") as worker:
        deliveries = [await anext(worker) for _ in range(4)]
        await deliveries[1].ack()
        pending = await group.pending()
        assert [row.id for row in pending] == [ids[0], ids[2], ids[3]]
        assert {(row.worker, row.attempts) for row in pending} == {("worker", 1)}
        assert await group.pending(worker="another") == await group.pending(idle=3600) == []
        assert isinstance(pending[0], Pending)
    assert (await group.info()).pending == 3


async def test_a_worker_that_comes_back_gets_first_what_was_pending(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    group = await events.group("processors")
    for number in range(4):
        await events.add(number)
    worker = await group.subscribe("worker", batch=2).open()
    await (await anext(worker)).ack()
    await worker.abandon()
    async with group.subscribe("worker") as again:
        came = [await anext(again) for _ in range(3)]
    assert [(one.value, one.redelivered) for one in came] == [(1, True), (2, False), (3, False)]


async def test_reading_its_own_history_counts_as_an_attempt(client: RedisClient, name: str) -> None:
    """Measured on Redis 7.0 before: each look at one's own pending entries is one delivery more."""
    group = await client.stream(name).group("processors")
    await client.stream(name).add(1)
    attempts = []
    for _ in range(3):
        worker = await group.subscribe("worker").open()
        attempts.append((await anext(worker)).attempt)
        await worker.abandon()
    assert attempts == [1, 2, 3]
    assert [row.attempts for row in await group.pending()] == [3]


async def test_a_claim_hands_over_and_tells_the_attempt(
    client: RedisClient, account: Account, name: str
) -> None:
    group = await client.stream(name).group("processors")
    await client.stream(name).add(1)
    worker = await group.subscribe("dies").open()
    await anext(worker)
    await worker.abandon()
    assert await group.claim("heir", idle=3600) == []
    [delivery] = await group.claim("heir", idle=0)
    assert (delivery.value, delivery.redelivered, delivery.attempt) == (1, True, 2)
    assert [row.worker for row in await group.pending()] == ["heir"]
    async with delivery:
        pass
    assert await group.pending() == []
    count = account.feed.count
    assert [count(kind, Place("redis", name, "heir")) for kind in (Kind.REDELIVERED, Kind.SETTLED)] == [1, 1]


async def test_a_worker_takes_over_what_others_have_had_for_too_long(client: RedisClient, name: str) -> None:
    group = await client.stream(name).group("processors")
    for number in range(3):
        await client.stream(name).add(number)
    dying = await group.subscribe("dies").open()
    await anext(dying)
    await dying.abandon()
    async with group.subscribe("heir", claim_idle=0.05) as heir:
        came = []
        for _ in range(3):
            async with await anext(heir) as delivery:
                came.append(delivery)
    assert [(one.value, one.redelivered, one.attempt) for one in came] == [
        *((number, True, 2) for number in range(3))
    ]


async def test_a_worker_does_not_claim_what_it_is_working_on_itself(client: RedisClient, name: str) -> None:
    group = await client.stream(name).group("processors")
    await client.stream(name).add(0)
    async with group.subscribe("worker", claim_idle=0.01) as worker:
        slow = await anext(worker)
        while not await group.pending(idle=0.02):
            pass
        await client.stream(name).add(1)
        assert (await anext(worker)).value == 1
        await slow.ack()


async def test_what_was_given_back_stays_pending_until_it_is_claimed(client: RedisClient, name: str) -> None:
    group = await client.stream(name).group("processors")
    await client.stream(name).add(0)
    async with group.subscribe("worker") as worker:
        with pytest.raises(ZeroDivisionError):
            async with await anext(worker):
                raise ZeroDivisionError
    assert len(await group.pending()) == 1


async def test_an_acknowledgement_fails_if_another_is_done_with_it(client: RedisClient, name: str) -> None:
    group = await client.stream(name).group("processors")
    await client.stream(name).add(0)
    async with group.subscribe("slow") as slow:
        delivery = await anext(slow)
        [claimed] = await group.claim("quick", idle=0)
        await claimed.ack()
        with pytest.raises(SettleFailed, match="claimed it"):
            await delivery.ack()


async def test_a_slow_workers_acknowledgement_counts_for_whoever_claimed(
    client: RedisClient, name: str
) -> None:
    """XACK asks for the entry, not for its worker."""
    group = await client.stream(name).group("processors")
    await client.stream(name).add(0)
    async with group.subscribe("slow") as slow:
        delivery = await anext(slow)
        await group.claim("quick", idle=0)
        await delivery.ack()
    assert await group.pending() == []


async def test_dead_letters_go_to_a_stream_with_the_reason(
    client: RedisClient, account: Account, name: str
) -> None:
    events = client.stream(name)
    group = await events.group("processors")
    poison = await events.add("poison", key="k", headers={"event": "created"})
    await events.add("fine")
    async with group.subscribe("worker") as worker:
        for _ in range(2):
            delivery = await anext(worker)
            if delivery.value == "fine":
                await delivery.ack()
    assert await group.dead_letter(max_attempts=2) == []
    await group.claim("worker", idle=0)
    [message] = await group.dead_letter(max_attempts=2)
    assert message.value == "poison"
    assert await group.pending() == []
    [entry] = [entry async for entry in client.stream(group.dead_letters).replay()]
    assert (entry.value, entry.message.key) == ("poison", "k")
    assert entry.message.headers == {
        "event": "created",
        "dead-letter-id": poison,
        "dead-letter-group": "processors",
        "dead-letter-attempts": "2",
    }
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.dead_lettered, verdict.settled, verdict.lost) == (1, 1, 0)


async def test_what_was_trimmed_while_pending_is_said_to_be_gone(
    client: RedisClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = client.stream(name)
    group = await events.group("processors")
    for number in range(3):
        await events.add(number)
    worker = await group.subscribe("worker").open()
    await anext(worker)
    await worker.abandon()
    await events.trim(max_length=1)
    with caplog.at_level(logging.WARNING, "labkit"):
        async with group.subscribe("worker") as again:
            assert (await anext(again)).value == 2
    assert "2 entries pending in the group 'processors'" in caplog.text
    assert len(await group.pending()) == 1


async def test_a_removed_worker_abandons_what_it_had(client: RedisClient, name: str) -> None:
    """Measured on Redis 7.0 before: XGROUP DELCONSUMER leaves its pending entries to nobody."""
    group = await client.stream(name).group("processors")
    await client.stream(name).add(0)
    worker = await group.subscribe("worker").open()
    await anext(worker)
    await worker.abandon()
    assert await group.remove_worker("worker") == 1
    assert await group.claim("heir", idle=0) == []
    info = await group.info()
    assert (info.workers, info.pending, info.lag) == (1, 0, 0)  # the heir; nobody has the entry


async def test_lag_tells_what_was_not_handed_out_where_redis_knows(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    ids = [await events.add(number) for number in range(5)]
    whole = await events.group("from-the-start", start="first")
    middle = await events.group("from-the-middle", start=ids[1])
    assert (await whole.info()).lag == 5
    assert (await middle.info()).lag is None
    await client.native.xdel(name, ids[2])
    assert (await whole.info()).lag is None


async def test_a_group_that_is_gone_is_not_found(client: RedisClient, name: str) -> None:
    group = await client.stream(name).group("processors")
    async with group.subscribe("worker") as worker:
        waiting = asyncio.create_task(anext(worker))
        await asyncio.sleep(0)
        await group.delete()
        with pytest.raises(NotFound, match="NOGROUP"):
            await waiting
    for call in (group.pending(), group.info(), group.claim("worker", idle=0), group.subscribe("x").open()):
        with pytest.raises(NotFound):
            await call


async def test_nothing_is_lost_over_kills_of_broker_and_worker(
    client: RedisClient, another: RedisClient, server: Server, account: Account, name: str
) -> None:
    events = client.stream(name)
    group = await events.group("processors")
    other = await another.stream(name).group("processors")
    dying = await other.subscribe("dies").open()
    await events.add(0)
    await anext(dying)  # while it is alone: the worker would be given this one first
    async with group.subscribe("worker", claim_idle=0.2) as worker:
        worker.run(lambda delivery: None)
        for number in range(1, 100):
            await events.add(number)
            if number == 50:
                await dying.abandon()
                await client.native.execute_command("WAITAOF", 1, 0, 5000)
                await server.kill()
                await server.restart()
        await until(lambda: account.ledger.verdict(channel=name).settled == 100)
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.confirmed, verdict.lost, verdict.unexpected) == (100, 0, 0)
