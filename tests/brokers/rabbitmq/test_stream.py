"""A stream is read from where one likes, as often as one likes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import BrokerError, Conflict
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import LAST, take, values_until_last

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("start", "values"),
    [
        ("first", list(range(20))),
        (15, [15, 16, 17, 18, 19]),
        ("next", []),
        (datetime.now(UTC) - timedelta(hours=1), list(range(20))),
        (datetime.now(UTC) + timedelta(hours=1), []),
    ],
    ids=["first", "offset", "next", "an hour ago", "in an hour"],
)
async def test_a_reader_begins_where_it_says(
    client: RabbitmqClient, name: str, start: Any, values: list[int]
) -> None:
    stream = await client.stream(name)
    for number in range(20):
        await stream.publish(number)
    reader = await stream.subscribe("audit", start=start).open()
    await stream.publish(LAST)
    assert await values_until_last(reader) == values


async def test_the_last_chunk_ends_with_the_last_message(client: RabbitmqClient, name: str) -> None:
    stream = await client.stream(name)
    for value in (*range(20), LAST):
        await stream.publish(value)
    values = await values_until_last(stream.subscribe("audit", start="last"))
    assert values == list(range(20))[20 - len(values) :]


async def test_deliveries_know_their_offset_and_time(client: RabbitmqClient, name: str) -> None:
    stream = await client.stream(name)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for number in range(3):
        await stream.publish(number, timestamp=at)
    async with stream.subscribe("audit", start="first") as deliveries:
        read = await take(deliveries, 3)
    assert [(delivery.offset, delivery.timestamp) for delivery in read] == [(0, at), (1, at), (2, at)]


async def test_every_reader_gets_everything_and_is_counted(
    client: RabbitmqClient, name: str, feed: Feed
) -> None:
    stream = await client.stream(name)
    for value in (*range(300), LAST):
        await stream.publish(value)
    for reader in ("billing", "audit"):
        assert await values_until_last(stream.subscribe(reader, start="first", prefetch=7)) == list(
            range(300)
        )
        assert feed.count(Kind.DELIVERED, Place("rabbitmq", name, reader)) == 301


async def test_a_reader_goes_on_where_it_was_after_the_broker_was_killed(
    client: RabbitmqClient, name: str, server: Any
) -> None:
    stream = await client.stream(name)
    await stream.written()
    for number in range(10):
        await stream.publish(number)
    async with stream.subscribe("audit", start="first", prefetch=3) as deliveries:
        before = [delivery.value for delivery in await take(deliveries, 5)]
        await server.kill()
        await server.restart()
        await stream.ready()
        await stream.publish(10)
        after = [delivery.value for delivery in await take(deliveries, 6)]
    assert before + after == list(range(11))


async def test_a_reader_that_has_seen_nothing_yet_misses_nothing_after_the_broker_was_killed(
    client: RabbitmqClient, name: str, server: Any
) -> None:
    stream = await client.stream(name)
    await stream.written()
    async with RabbitmqClient(client.url) as other, stream.subscribe("audit") as deliveries:
        publishing = await other.stream(name)
        await server.kill()
        await server.restart()
        await publishing.ready()  # a stream is back some time after its broker
        await publishing.publish("meanwhile")
        [delivery] = await take(deliveries, 1)
    assert delivery.value == "meanwhile"


async def test_old_segments_go_by_size(client: RabbitmqClient, name: str) -> None:
    stream = await client.stream(name, max_bytes=20_000, max_segment_bytes=5_000)
    async with stream.pipeline() as pipeline:
        for _ in range(500):
            await pipeline.publish(b"x" * 1000)
    await stream.publish(LAST)
    async with stream.subscribe("audit", start="first") as deliveries:
        [oldest] = await take(deliveries, 1)
    assert oldest.offset > 0


async def test_a_stream_that_was_made_differently_is_a_conflict(client: RabbitmqClient, name: str) -> None:
    await client.stream(name, max_age=3600.0)
    with pytest.raises(Conflict, match="x-max-age"):
        await client.stream(name, max_age=60.0)


async def test_what_a_stream_does_not_know_is_refused(client: RabbitmqClient, name: str) -> None:
    with pytest.raises(BrokerError, match="x-dead-letter-exchange"):
        await client.stream(name, arguments={"x-dead-letter-exchange": "amq.direct"})
