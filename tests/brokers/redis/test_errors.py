"""What goes wrong, and what it is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from labkit.brokers.redis.channels.stream import Stream
from labkit.brokers.redis.client import RedisClient
from labkit.errors import (
    Conflict,
    ConnectFailed,
    ConnectionLost,
    LoginRefused,
    NoAnswer,
    NotAllowed,
    NotFound,
    PayloadError,
    PublishInDoubt,
    PublishRefused,
    SettleFailed,
)
from labkit.events import Kind, Place
from tests.brokers.redis.conftest import Account, OwnRedis, StartRedis
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(start_redis: StartRedis) -> OwnRedis:
    """A Redis where ann may use streams and lists whose names begin with "orders", and nothing else."""
    server = await start_redis("--requirepass", "secret")
    async with RedisClient(f"redis://:secret@127.0.0.1:{server.port}") as admin:
        rights = ("~orders*", "&orders*", "-@all", "+@read", "+@write", "+@connection", "-@dangerous")
        await admin.native.execute_command("ACL", "SETUSER", "ann", "on", ">pw", *rights, "+@blocking")
    return server


@pytest_asyncio.fixture(loop_scope="session")
async def ann(guarded: OwnRedis, account: Account) -> AsyncIterator[RedisClient]:
    async with RedisClient(f"redis://ann:pw@127.0.0.1:{guarded.port}", account) as client:
        yield client


@pytest.mark.parametrize("login", ["", ":wrong@", "ann:wrong@", "nobody:pw@"])
async def test_a_wrong_login_is_refused_at_once(guarded: OwnRedis, login: str) -> None:
    with pytest.raises(LoginRefused) as caught:
        await RedisClient(f"redis://{login}127.0.0.1:{guarded.port}").open()
    assert caught.value.__cause__ is not None
    assert "password" in caught.value.remedy
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:nonsense", "http://127.0.0.1:1", "rediss://127.0.0.1:1"])
async def test_an_address_that_cannot_be_is_a_clear_error(url: str) -> None:
    with pytest.raises(ConnectFailed):
        await RedisClient(url).open()


async def test_what_a_user_may_not_do_is_not_allowed(ann: RedisClient, account: Account) -> None:
    await ann.stream("orders").add(1)
    for publish in (
        ann.stream("secret").add(1),
        ann.list("secret").push(1),
        ann.channel("secret").publish(1),
    ):
        with pytest.raises(NotAllowed, match="permission") as caught:
            await publish
        assert isinstance(caught.value, PublishRefused)
        assert "ACL" in caught.value.remedy
    assert account.feed.count(Kind.REFUSED, Place("redis", "secret", "shop")) == 3
    for call in (
        ann.stream("secret").group("x"),
        ann.list("secret").depth(),
        ann.channel("x").subscribe("x").open(),
    ):
        with pytest.raises(NotAllowed):
            await call


async def test_a_user_who_may_not_unblock_can_leave_without_losing(ann: RedisClient) -> None:
    tasks = ann.list("orders-list")
    async with tasks.subscribe("worker") as worker:
        waiting = asyncio.create_task(anext(worker, None))
        await asyncio.sleep(0)
        await worker.close()
        assert await waiting is None
    await tasks.push(1)
    assert await tasks.depth() == 1


async def test_a_name_that_belongs_to_another_type_is_a_conflict(client: RedisClient, name: str) -> None:
    await client.list(name).push(1)
    stream = client.stream(name)
    with pytest.raises(Conflict, match="WRONGTYPE") as caught:
        await stream.add(1)
    assert isinstance(caught.value, PublishRefused)
    for call in (stream.group("x"), stream.subscribe("x").open(), stream.depth(), stream.trim(max_length=1)):
        with pytest.raises(Conflict):
            await call
    await client.stream(f"{name}.s").add(1)
    async with client.list(f"{name}.s").subscribe("worker") as worker:
        with pytest.raises(Conflict):
            await anext(worker)


async def test_a_full_server_refuses_and_says_what_to_do(start_redis: StartRedis, account: Account) -> None:
    server = await start_redis("--maxmemory", "4mb")
    async with RedisClient(server.url, account) as client:
        orders = client.stream("orders")
        with pytest.raises(PublishRefused, match="maxmemory") as caught:
            await _fill(orders)
        assert "maxmemory" in caught.value.remedy
        kept = await orders.depth()
    place = Place("redis", "orders", "shop")
    assert account.feed.count(Kind.CONFIRMED, place) == kept
    assert account.feed.count(Kind.REFUSED, place) == 1


async def _fill(stream: Stream) -> None:
    for number in range(100):
        await stream.add(f"{number:0100000}")


@pytest.mark.parametrize("size", [1_100_000, 8_000_000])
async def test_a_message_too_large_is_refused_for_certain(start_redis: StartRedis, size: int) -> None:
    """The limit is 512 MB as a rule; Redis closes the connection, often before its reason is read."""
    server = await start_redis("--proto-max-bulk-len", "1mb")
    async with RedisClient(server.url) as client:
        for _ in range(5):
            with pytest.raises(PublishRefused):
                await client.list("tasks").push(b"." * size)
        with pytest.raises(PublishRefused):
            async with client.stream("events").pipeline() as pipeline:
                await pipeline.publish(b"." * size)
        assert await client.list("tasks").push(b"." * 1_000_000) == 1


async def test_what_was_never_sent_is_refused_and_what_may_have_arrived_in_doubt(
    client: RedisClient, server: Server, account: Account, name: str
) -> None:
    tasks = client.list(name)
    await tasks.push("confirmed")
    await server.pause()
    under_way = asyncio.create_task(tasks.push("in doubt"))
    await until(lambda: client.pool.in_use == 1)
    await asyncio.sleep(0)
    await server.kill()
    try:
        with pytest.raises(PublishInDoubt) as doubt:
            await under_way
        with pytest.raises(PublishRefused) as refused:
            await tasks.push("refused")
        with pytest.raises(ConnectionLost):
            await tasks.depth()
    finally:
        await server.restart()
    assert doubt.value.__cause__ is not None
    assert refused.value.__cause__ is not None
    verdict = account.ledger.verdict(channel=name)
    assert (verdict.confirmed, verdict.in_doubt, verdict.refused) == (1, 1, 1)


async def test_no_question_to_a_frozen_broker_waits_for_ever(
    client: RedisClient, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.redis.errors.CALL_SECONDS", 0.2)
    group = await client.stream(name).group("processors")
    await client.stream(name).add(1)
    async with group.subscribe("worker") as worker:
        delivery = await anext(worker)
        await server.pause()
        try:
            for call in (
                client.list(name).depth(),
                group.pending(),
                group.info(),
                client.stream(name).last_id(),
            ):
                with pytest.raises(NoAnswer):
                    await call
            with pytest.raises(SettleFailed):
                await delivery.ack()
            with pytest.raises((NoAnswer, ConnectionLost)):
                await group.subscribe("another").open()
            with pytest.raises(PublishInDoubt):
                await client.stream(name).add(2)
        finally:
            await server.resume()


async def test_a_group_or_stream_that_is_not_there_is_not_found(client: RedisClient, name: str) -> None:
    await client.stream(name).add(1)
    group = await client.stream(name).group("processors")
    await group.delete()
    for call in (group.pending(), group.remove_worker("x"), group.subscribe("x").open()):
        with pytest.raises(NotFound) as caught:
            await call
        assert caught.value.remedy


async def test_a_value_that_is_no_json_is_not_sent(client: RedisClient, account: Account, name: str) -> None:
    for call in (client.list(name).push(object()), client.stream(name).add({1, 2})):
        with pytest.raises(PayloadError):
            await call
    assert account.feed.count(Kind.SENT, Place("redis", name, "shop")) == 0
