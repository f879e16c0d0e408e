"""Streams: a log that stays, whoever has read it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_entry_carries_payload_key_and_headers_in_plain_fields(
    client: RedisClient, name: str
) -> None:
    events = client.stream(name)
    entry_id = await events.add({"order": 17}, key="anna", headers={"event": "created"})
    [(found_id, fields)] = await client.native.xrange(name)
    assert found_id.decode() == entry_id
    assert fields == {b"data": b'{"order":17}', b"key": b"anna", b"h:event": b"created"}
    [entry] = [entry async for entry in events.replay()]
    assert (entry.value, entry.message.key) == ({"order": 17}, "anna")
    assert entry.message.headers == {"event": "created"}
    assert (entry.id, entry.native[0]) == (entry_id, entry_id.encode())


async def test_an_id_tells_when_redis_made_the_entry(client: RedisClient, name: str) -> None:
    before = int(time.time() * 1000) / 1000
    await client.stream(name).add(1)
    [entry] = [entry async for entry in client.stream(name).replay()]
    assert before <= entry.timestamp <= time.time()


async def test_an_entry_that_others_made_is_read_as_its_fields(client: RedisClient, name: str) -> None:
    await client.native.xadd(name, {"order": "17", "sum": "3"})
    [entry] = [entry async for entry in client.stream(name).replay()]
    assert entry.value == {"order": "17", "sum": "3"}


@pytest.mark.parametrize("approximate", [False, True])
async def test_a_stream_with_a_length_is_trimmed_exactly_or_about(
    client: RedisClient, name: str, approximate: bool
) -> None:
    events = client.stream(name, max_length=100, approximate=approximate)
    async with events.pipeline() as pipeline:
        for number in range(450):
            await pipeline.publish(number)
    # About: whole nodes of the log go, of a hundred entries each.
    assert await events.depth() == (150 if approximate else 100)


async def test_what_is_older_than_an_id_is_trimmed(client: RedisClient, name: str) -> None:
    first, second, third = [await client.stream(name).add(number) for number in range(3)]
    await client.stream(name, min_id=second, approximate=False).add(3)
    assert [entry.value async for entry in client.stream(name).replay()] == [1, 2, 3]
    assert await client.stream(name).trim(min_id=third) == 1
    assert await client.stream(name).trim(max_length=1) == 1
    assert first < second < third


async def test_length_and_id_together_are_refused(client: RedisClient, name: str) -> None:
    with pytest.raises(ValueError, match="not by both"):
        client.stream(name, max_length=1, min_id="0")


async def test_replay_gives_what_lies_between_two_ids_page_by_page(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    ids = [await events.add(number) for number in range(25)]
    assert [entry.value async for entry in events.replay(batch=10)] == list(range(25))
    assert [entry.value async for entry in events.replay(ids[5], ids[7])] == [5, 6, 7]


async def test_replay_is_counted_where_a_reader_is_named(
    client: RedisClient, account: Account, name: str
) -> None:
    await client.stream(name).add(1)
    for reader in ("", "audit"):
        assert [entry.value async for entry in client.stream(name).replay(reader=reader)] == [1]
    assert account.feed.count(Kind.DELIVERED, Place("redis", name, "audit")) == 1
    assert account.ledger.verdict(channel=name).deliveries == 1


async def test_a_reader_begins_with_the_first_after_an_id_or_with_what_is_new(
    client: RedisClient, name: str
) -> None:
    events = client.stream(name)
    ids = [await events.add(number) for number in range(3)]
    async with (
        events.subscribe("all", start="first") as everything,
        events.subscribe("rest", start=ids[1]) as rest,
        events.subscribe("new") as new,
    ):
        await events.add(3)
        assert [(await anext(everything)).value for _ in range(4)] == [0, 1, 2, 3]
        assert [(await anext(rest)).value for _ in range(2)] == [2, 3]
        assert (await anext(new)).value == 3


async def test_a_reader_goes_on_from_its_position(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    for number in range(5):
        await events.add(number)
    async with events.subscribe("reader", start="first") as reader:
        assert [(await anext(reader)).value for _ in range(2)] == [0, 1]
    async with events.subscribe("reader", start=reader.position) as again, reader:
        assert (await anext(again)).value == 2
        assert (await anext(reader)).value == 2  # opened again, it goes on too


async def test_a_reader_misses_nothing_over_a_kill_of_the_broker(
    client: RedisClient, server: Server, name: str
) -> None:
    events = client.stream(name)
    async with events.subscribe("reader") as reader:
        await events.add(0)
        assert (await anext(reader)).value == 0
        waiting = asyncio.create_task(anext(reader))
        await events.add(1)
        await client.native.execute_command("WAITAOF", 1, 0, 5000)
        await server.kill()
        await server.restart()
        await events.add(2)
        assert [(await waiting).value, (await anext(reader)).value] == [1, 2]


async def test_a_delayed_entry_comes_when_it_is_due(client: RedisClient, name: str) -> None:
    events = client.stream(name)
    await client.delayed(events).publish({"order": 1}, delay=0)
    assert await client.delayed(events).move_due() == 1
    assert [entry.value async for entry in events.replay()] == [{"order": 1}]


async def test_a_deleted_stream_is_gone(client: RedisClient, name: str) -> None:
    await client.stream(name).add(1)
    await client.stream(name).delete()
    assert await client.stream(name).depth() == 0
    assert await client.stream(name).last_id() == "0-0"
