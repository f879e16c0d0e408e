"""A stream's pipeline: many messages under way, each with an answer in the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.client import NatsClient
from labkit.errors import ChannelClosed, PublishInDoubt, PublishRefused
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_all_are_confirmed_and_stored_in_order(client: NatsClient, name: str, feed: Feed) -> None:
    stream = await client.stream(name)
    async with stream.pipeline(window=50) as pipeline:
        for number in range(1000):
            await pipeline.publish(number)
            assert pipeline.unanswered <= 50
    assert (pipeline.confirmed, pipeline.failed, pipeline.unanswered) == (1000, [], 0)
    async with stream.replay() as replay:
        assert [one.value async for one in replay] == list(range(1000))
    place = Place("nats", name, "shop")
    assert [feed.count(kind, place) for kind in (Kind.SENT, Kind.CONFIRMED)] == [1000, 1000]


async def test_without_an_observer_it_counts_too(server: Server, name: str) -> None:
    async with NatsClient(server.url) as client:
        stream = await client.stream(name)
        async with stream.pipeline() as pipeline:
            for number in range(10):
                await pipeline.publish(number, message_id=str(number // 2))
        assert pipeline.confirmed == 10
        assert await stream.depth() == 5


async def test_what_is_refused_is_kept_and_raised_in_the_end(
    client: NatsClient, name: str, feed: Feed
) -> None:
    stream = await client.stream(name, max_messages=3, discard="new")
    pipeline = stream.pipeline()
    await pipeline.__aenter__()
    for number in range(5):
        await pipeline.publish(number)
    with pytest.raises(PublishRefused, match="maximum messages exceeded"):
        await pipeline.__aexit__(None, None, None)
    assert (pipeline.confirmed, len(pipeline.failed)) == (3, 2)
    assert feed.count(Kind.REFUSED, Place("nats", name, "shop")) == 2


async def test_a_subject_without_a_stream_is_refused(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    async with stream.pipeline() as pipeline:
        await pipeline.publish(1, subject=f"{name}.unheard")
        await pipeline.drain()
        (failure,) = pipeline.failed
        pipeline.failed.clear()
    assert isinstance(failure, PublishRefused)
    assert "no stream" in failure.what


async def test_what_cannot_be_sent_is_an_error_there_and_then(
    client: NatsClient, name: str, feed: Feed
) -> None:
    stream = await client.stream(name)
    async with stream.pipeline() as pipeline:
        await pipeline.publish(1)
        with pytest.raises(PublishRefused, match="maximum payload"):
            await pipeline.publish(b"x" * (1024 * 1024 + 1))
        await pipeline.publish(2)
    assert pipeline.confirmed == 2
    place = Place("nats", name, "shop")
    assert [feed.count(kind, place) for kind in (Kind.SENT, Kind.REFUSED)] == [3, 1]


async def test_a_frozen_broker_leaves_them_in_doubt(
    client: NatsClient, server: Server, name: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.nats.channels.stream_pipeline.CALL_SECONDS", 0.2)
    stream = await client.stream(name)
    await server.pause()
    try:
        async with stream.pipeline(window=2) as pipeline:
            for number in range(5):
                await pipeline.publish(number)
            await pipeline.drain()
            failed = list(pipeline.failed)
            pipeline.failed.clear()
    finally:
        await server.resume()
    assert [type(failure) for failure in failed] == [PublishInDoubt] * 5
    assert feed.count(Kind.IN_DOUBT, Place("nats", name, "shop")) == 5


async def test_over_a_kill_nothing_confirmed_is_lost(client: NatsClient, server: Server, name: str) -> None:
    stream = await client.stream(name)
    async with stream.pipeline(window=20) as pipeline:
        for number in range(300):
            if number == 150:
                await server.kill()
                await server.restart()
            await pipeline.publish(number)
        await pipeline.drain()
        doubtful = len(pipeline.failed)
        pipeline.failed.clear()
    async with stream.replay() as replay:
        there = {one.value async for one in replay}
    assert pipeline.confirmed == 300 - doubtful
    assert len(there) >= pipeline.confirmed
    assert doubtful <= 20


async def test_an_error_inside_ends_it_and_is_not_covered_up(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    pipeline = stream.pipeline()

    async def fail() -> None:
        async with pipeline:
            await pipeline.publish(1, subject=f"{name}.unheard")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (pipeline.unanswered, len(pipeline.failed)) == (0, 1)


async def test_a_wait_for_room_can_be_given_up(client: NatsClient, server: Server, name: str) -> None:
    stream = await client.stream(name)
    async with stream.pipeline(window=1) as pipeline:
        await server.pause()
        await pipeline.publish(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pipeline.publish(2)
        await server.resume()
        await until(lambda: pipeline.confirmed == 1)
        await pipeline.publish(3)
    assert await stream.depth() == 2


async def test_an_unopened_pipeline_says_so(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    with pytest.raises(ChannelClosed):
        await stream.pipeline().publish(1)


async def test_a_closed_pipeline_leaves_no_subscription(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    before = len(client.native._subs)
    async with stream.pipeline() as pipeline:
        await pipeline.publish(1)
    assert len(client.native._subs) == before
    assert not client.denials.listeners & {pipeline._hear_denied}
