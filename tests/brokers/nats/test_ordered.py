"""Reading a stream in order, without acknowledging: what is stored, and what comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.client import NatsClient
from labkit.errors import ConnectionLost, NoAnswer, NotFound
from labkit.events import Kind
from labkit.feed import Feed
from tests.support import until

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def stream_of(client: NatsClient, name: str, count: int) -> Stream:
    """Return a stream that holds the numbers below ``count``."""
    stream = await client.stream(name)
    for number in range(count):
        await stream.publish(number)
    return stream


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_a_replay_reads_all_and_ends(client: NatsClient, name: str, count: int) -> None:
    stream = await stream_of(client, name, count)
    async with stream.replay() as replay:
        assert [delivery.value async for delivery in replay] == list(range(count))


async def test_a_replay_begins_with_a_number(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 5)
    async with stream.replay(from_sequence=4) as replay:
        assert [(one.sequence, one.value) async for one in replay] == [(4, 3), (5, 4)]


async def test_a_replay_begins_with_a_time(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 3)
    start = time.time()
    await stream.publish(3)
    async with stream.replay(from_time=start) as replay:
        assert [one.value async for one in replay] == [3]


async def test_a_replay_leaves_no_trace(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 3)
    async with stream.replay() as replay:
        _ = [one async for one in replay]
    assert (await stream.info()).state.consumer_count == 0


async def test_a_replay_can_be_filtered(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, subjects=[f"{name}.*"])
    for number in range(4):
        await stream.publish(number, subject=f"{name}.{'even' if number % 2 == 0 else 'odd'}")
    async with stream.replay(filter=f"{name}.odd") as replay:
        assert [one.value async for one in replay] == [1, 3]


async def test_a_replay_of_a_stream_that_is_gone_is_not_found(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 1)
    await stream.delete()
    with pytest.raises(NotFound):
        await stream.replay().open()


async def test_the_feed_counts_a_replay(client: NatsClient, name: str, feed: Feed) -> None:
    stream = await stream_of(client, name, 3)
    async with stream.replay("audit") as replay:
        _ = [one async for one in replay]
    assert feed.count(Kind.DELIVERED, replay.place) == 3


async def test_an_ordered_reader_follows_over_a_kill(client: NatsClient, server: Server, name: str) -> None:
    stream = await stream_of(client, name, 3)
    received: list[int] = []
    reader = (await stream.ordered("audit").open()).run(lambda one: received.append(one.value))
    await until(lambda: len(received) == 3)
    await server.kill()
    await server.restart()
    await client.restored()
    for number in range(3, 6):
        await stream.publish(number)
    await until(lambda: len(received) == 6 or reader.error)
    assert received == [0, 1, 2, 3, 4, 5]


async def test_an_ordered_reader_begins_anew_where_something_was_missed(
    client: NatsClient, name: str
) -> None:
    stream = await stream_of(client, name, 50)
    async with stream.ordered("audit") as reader:
        values = [(await anext(reader)).value]
        reader._native._pending_queue.get_nowait()  # lose one on the way
        values += [(await anext(reader)).value for _ in range(49)]
    assert values == list(range(50))


async def test_an_ordered_reader_survives_the_loss_of_its_consumer(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 150)
    async with stream.ordered("audit") as reader:
        values = [(await anext(reader)).value for _ in range(100)]
        await client.jetstream.delete_consumer(name, reader._asked)
        values += [(await anext(reader)).value for _ in range(50)]
    assert values == list(range(150))


async def test_an_ordered_reader_can_be_opened_again(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 2)
    reader = stream.ordered("audit")
    for _ in range(2):
        async with reader:
            assert [(await anext(reader)).value for _ in range(2)] == [0, 1]


async def test_a_reader_cannot_be_opened_while_the_broker_is_gone(
    client: NatsClient, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.nats.errors.CALL_SECONDS", 0.5)
    stream = await stream_of(client, name, 2)
    await server.kill()
    try:
        with pytest.raises((ConnectionLost, NoAnswer)):
            await stream.replay().open()
    finally:
        await server.restart()
