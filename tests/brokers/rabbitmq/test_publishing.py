"""What is sent, and what RabbitMQ answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import ChannelClosed, PayloadError, PublishInDoubt, PublishRefused
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import LAST, depth_becomes, take, values_until_last

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOO_LARGE = b"x" * (16 * 2**20 + 1)
"""RabbitMQ 4.0 takes messages of up to 16 MiB."""


async def test_the_properties_of_a_message_arrive_as_they_were_sent(
    client: RabbitmqClient, name: str
) -> None:
    queue = await client.queue(name, max_priority=5)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent: Properties = {
        "headers": {"tries": 3, "shop": "paris"},
        "correlation_id": "c-1",
        "message_id": "m-1",
        "timestamp": at,
        "priority": 4,
        "type": "order",
        "content_type": "application/json",
    }
    await queue.publish({"id": 17}, expiration=60.0, persistent=False, **sent)
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        native = delivery.native
        assert (delivery.correlation_id, delivery.message_id, delivery.priority) == ("c-1", "m-1", 4)
        assert (delivery.timestamp, delivery.exchange, delivery.routing_key) == (at, "", name)
        assert (native.type, native.content_type, native.expiration) == ("order", "application/json", 60.0)
        assert (native.headers["tries"], native.delivery_mode) == (3, 1)
        assert delivery.message.headers == {"tries": "3", "shop": "paris"}
        assert delivery.value == {"id": 17}


async def test_a_message_is_persistent_unless_told_not_to(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
    assert delivery.native.delivery_mode == 2


async def test_bytes_travel_as_they_are_and_say_so_when_read_as_json(
    client: RabbitmqClient, name: str
) -> None:
    queue = await client.queue(name)
    await queue.publish(b"\x00\xff")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
    assert delivery.data == b"\x00\xff"
    with pytest.raises(PayloadError):
        _ = delivery.value


@pytest.mark.parametrize("target", ["exchange", "queue", "stream"])
async def test_a_pipeline_confirms_everything_in_order(
    client: RabbitmqClient, name: str, target: str, feed: Feed
) -> None:
    exchange = await client.exchange(name, "fanout")
    queue = await (client.stream(f"{name}.q") if target == "stream" else client.queue(f"{name}.q"))
    await queue.bind(exchange, "")
    place = exchange if target == "exchange" else queue
    async with place.pipeline(window=50) as pipeline:
        for number in range(1000):
            await pipeline.publish(number)
            assert pipeline.unanswered <= 50
    assert pipeline.confirmed == 1000
    assert feed.count(Kind.SENT, Place("rabbitmq", place.name, "shop")) == 1000
    assert feed.count(Kind.CONFIRMED, Place("rabbitmq", place.name, "shop")) == 1000
    await queue.publish(LAST)
    arguments = {"start": "first"} if target == "stream" else {}
    subscription: Any = queue.subscribe("billing", **arguments)
    assert await values_until_last(subscription) == list(range(1000))


async def _publish(pipeline: Any, value: object) -> None:
    await pipeline.publish(value)
    await pipeline.drain()


async def _publish_all(pipeline: Any, values: Iterable[object]) -> None:
    async with pipeline:
        for value in values:
            await pipeline.publish(value)


async def test_a_pipeline_tells_what_was_refused(client: RabbitmqClient, name: str, feed: Feed) -> None:
    queue = await client.queue(name, max_length=3, overflow="reject-publish")
    pipeline = queue.pipeline()
    with pytest.raises(PublishRefused, match="nack"):
        await _publish_all(pipeline, range(10))
    assert (pipeline.confirmed, len(pipeline.failed), pipeline.unanswered) == (3, 7, 0)
    assert feed.count(Kind.REFUSED, Place("rabbitmq", name, "shop")) == 7


async def test_a_pipeline_tells_what_came_back(client: RabbitmqClient, name: str, feed: Feed) -> None:
    exchange = await client.exchange(name)
    await client.queue(name, bind=(exchange, "somebody"))
    async with exchange.pipeline() as pipeline:
        for key in ("somebody", "nobody", "somebody"):
            await pipeline.publish("order", key, mandatory=True)
    assert (pipeline.confirmed, pipeline.unheard) == (3, 1)
    assert feed.count(Kind.UNHEARD, Place("rabbitmq", name, "shop")) == 1


async def test_a_pipeline_that_is_not_open_says_so(client: RabbitmqClient, name: str) -> None:
    pipeline = (await client.queue(name)).pipeline()
    with pytest.raises(ChannelClosed, match=name):
        await pipeline.publish("order")


async def test_what_closes_a_pipelines_channel_leaves_the_others_in_doubt(
    client: RabbitmqClient, name: str
) -> None:
    queue = await client.queue(name)
    pipeline = queue.pipeline()
    with pytest.raises(PublishInDoubt, match="larger than"):
        await _publish_all(pipeline, (TOO_LARGE, "behind it"))
    assert len(pipeline.failed) + pipeline.confirmed == 2
    assert await queue.publish("order", mandatory=True)


async def test_a_pipeline_to_a_frozen_broker_gives_up(
    client: RabbitmqClient, name: str, server: Any, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.rabbitmq.channels.pipeline.CALL_SECONDS", 0.5)
    queue = await client.queue(name)
    pipeline = queue.pipeline()
    async with asyncio.timeout(30):
        await pipeline.__aenter__()
        await _publish(pipeline, "before")
        await server.pause()
        try:
            await _publish(pipeline, "while frozen")
        finally:
            await server.resume()
        with pytest.raises(PublishInDoubt, match="no answer"):
            await pipeline.__aexit__(None, None, None)
    assert (pipeline.confirmed, len(pipeline.failed)) == (1, 1)
    assert feed.count(Kind.IN_DOUBT, Place("rabbitmq", name, "shop")) == 1


async def test_a_publish_to_a_frozen_broker_is_in_doubt_and_may_arrive(
    client: RabbitmqClient, name: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.rabbitmq.channels.outlet.CALL_SECONDS", 0.5)
    queue = await client.queue(name)
    await server.pause()
    try:
        with pytest.raises(PublishInDoubt, match="no answer"):
            await queue.publish("order")
    finally:
        await server.resume()
    await depth_becomes(queue, 1)


async def test_what_is_not_confirmed_is_counted_as_sent_and_no_more(
    client: RabbitmqClient, name: str, feed: Feed
) -> None:
    queue = await client.queue(name)
    for number in range(20):
        await queue.publish_unconfirmed(number)
    await depth_becomes(queue, 20)
    shop = Place("rabbitmq", name, "shop")
    assert (feed.count(Kind.SENT, shop), feed.count(Kind.CONFIRMED, shop)) == (20, 0)


async def test_a_message_that_is_too_large_is_refused_and_the_next_one_is_not(
    client: RabbitmqClient, name: str
) -> None:
    queue = await client.queue(name)
    with pytest.raises(PublishRefused, match="larger than configured max size 16777216") as caught:
        await queue.publish(TOO_LARGE)
    assert caught.value.__cause__ is not None
    assert await queue.publish("order", mandatory=True)


@pytest.mark.parametrize(
    ("key", "properties"),
    [("k" * 256, {}), ("key", {"headers": {"what": object()}}), ("key", {"priority": 300})],
    ids=["key", "header", "priority"],
)
async def test_what_amqp_cannot_carry_is_refused_before_it_is_sent(
    client: RabbitmqClient, name: str, key: str, properties: Any
) -> None:
    exchange = await client.exchange(name)
    with pytest.raises(PublishRefused) as caught:
        await exchange.publish("order", key, **properties)
    assert caught.value.__cause__ is not None
    assert await exchange.publish("order", "key", mandatory=True) is False


async def test_publishing_to_an_exchange_that_was_deleted_is_refused(
    client: RabbitmqClient, name: str
) -> None:
    exchange = await client.exchange(name)
    async with RabbitmqClient(client.url) as other:
        await (await other.exchange(name)).delete()
    with pytest.raises(PublishRefused, match="no exchange"):
        await exchange.publish("order")


async def test_nothing_observed_is_published_all_the_same(server: Any, name: str) -> None:
    async with RabbitmqClient(server.url) as client:
        queue = await client.queue(name)
        assert queue.meters("shop") is None
        assert await queue.publish("order", mandatory=True)
        await queue.publish_unconfirmed("order")
        async with queue.pipeline() as pipeline:
            await pipeline.publish("order")
        await depth_becomes(queue, 3)
