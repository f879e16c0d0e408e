"""Kafka's producers: what their settings do, and what they do while the broker is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.producer import Acks, Compression, Producer
from labkit.errors import PublishFailed, PublishInDoubt, PublishRefused
from labkit.events import Kind, Place
from labkit.feed import Feed
from labkit.ledger import Ledger
from tests.brokers.kafka.reading import read_all, take
from tests.support import unique, until, until_told

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_MOST = 20.0
"""Seconds in which any call must have come back, whatever the broker does."""


def counts(feed: Feed, topic: Topic) -> dict[Kind, int]:
    place = Place("kafka", topic.name, "shop")
    kinds = (Kind.SENT, Kind.CONFIRMED, Kind.REFUSED, Kind.IN_DOUBT)
    return {kind: feed.count(kind, place) for kind in kinds if feed.count(kind, place)}


async def test_what_goes_with_a_message_arrives_with_it(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=3)
    producer = await client.producer(compression="zstd", linger=0.005)
    told = await producer.publish(
        topic, {"id": 1}, key="anna", headers={"event": "created"}, partition=2, timestamp=17.5
    )
    async with topic.subscribe(unique("billing"), start="earliest") as subscription:
        delivery = await anext(subscription)
    assert told is not None
    assert (delivery.partition, delivery.offset) == (told.partition, told.offset) == (2, 0)
    assert (delivery.value, delivery.message.key) == ({"id": 1}, "anna")
    assert delivery.message.headers == {"event": "created"}
    assert delivery.timestamp == 17.5


async def test_messages_of_a_key_go_to_one_partition(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=3)
    keys = [f"customer {number}" for number in range(20)]
    places = {key: {(await topic.publish(1, key=key)).partition for _ in range(3)} for key in keys}
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) == 3


@pytest.mark.parametrize("compression", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_gives_back_what_was_sent(
    client: KafkaClient, topic: Topic, compression: Compression | None
) -> None:
    producer = await client.producer(compression=compression)
    await producer.publish(topic, "x" * 1000)
    assert await read_all(topic) == ["x" * 1000]


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_pipeline_confirms_every_message(
    client: KafkaClient, topic: Topic, feed: Feed, idempotent: bool
) -> None:
    producer = await client.producer(idempotent=idempotent)
    async with producer.pipeline(topic, window=100) as pipeline:
        for number in range(1000):
            await pipeline.publish(number)
    assert pipeline.confirmed == 1000
    assert counts(feed, topic) == {Kind.SENT: 1000, Kind.CONFIRMED: 1000}
    assert await read_all(topic) == list(range(1000))


async def test_without_acks_nothing_is_confirmed(client: KafkaClient, topic: Topic, feed: Feed) -> None:
    producer = await client.producer(acks=0)
    assert await producer.publish(topic, 0) is None
    async with producer.pipeline(topic) as pipeline:
        await pipeline.publish(1)
    assert pipeline.confirmed == 0
    assert counts(feed, topic) == {Kind.SENT: 2}
    await until_end(topic, 2)
    assert await read_all(topic) == [0, 1]


async def until_end(topic: Topic, offset: int) -> None:
    await until_told(topic.end_offset, lambda end: end >= offset)


@pytest.mark.parametrize(("acks", "lost"), [(0, 100), ("all", 0)])
async def test_acks_0_loses_what_a_frozen_broker_had_not_read_when_it_was_killed(
    server: Server, acks: Acks, lost: int
) -> None:
    ledger = Ledger()
    async with KafkaClient(server.url, ledger) as client:
        topic = await client.topic(unique("orders"))
        producer = await client.producer(acks=acks, delivery_timeout=15.0)
        subscription = topic.subscribe("billing", group=unique("billing"), start="earliest")
        await producer.publish(topic, "before")
        await until_end(topic, 1)
        await server.pause()
        publishing = asyncio.create_task(publish_100(producer, topic))
        if acks == 0:
            await publishing
        await server.kill()
        await server.restart()
        await publishing
        await topic.publish("after", publisher="fence")
        async with subscription:
            while (await anext(subscription)).value != "after":
                pass
        verdict = ledger.verdict(channel=topic.name, publishers={"shop"})
    assert verdict.attempted == 101
    assert verdict.missing == lost
    assert verdict.lost == 0


async def publish_100(producer: Producer, topic: Topic) -> None:
    async with producer.pipeline(topic) as pipeline:
        for number in range(100):
            await pipeline.publish(number)


async def test_a_flood_without_acks_over_a_kill_leaves_a_producer_that_works(
    client: KafkaClient, topic: Topic, server: Server
) -> None:
    producer = await client.producer(acks=0, delivery_timeout=2.0)
    is_wanted = True
    handed_over = 0

    async def flood() -> None:
        nonlocal handed_over
        while is_wanted:
            with suppress(PublishFailed):
                async with producer.pipeline(topic) as pipeline:
                    for _ in range(500):
                        await pipeline.publish("flood")
            handed_over += 500
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    await until(lambda: handed_over > 2000)
    await server.kill()
    await server.restart()
    is_wanted = False
    await flooding
    async with asyncio.timeout(AT_MOST):
        end = await topic.end_offset()
        await producer.publish(topic, "after")
        await until_end(topic, end + 1)


async def test_an_idempotent_producer_gives_up_on_a_dead_broker_and_works_again_when_it_is_back(
    client: KafkaClient, topic: Topic, feed: Feed, server: Server
) -> None:
    producer = await client.producer(idempotent=True, delivery_timeout=5.0)
    await producer.publish(topic, 1)
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(PublishInDoubt):
                await producer.publish(topic, 2)
            with pytest.raises(PublishRefused):  # no new connection: this one was certainly not sent
                await producer.publish(topic, 3)
    finally:
        await server.restart()
    await producer.publish(topic, 4)
    assert counts(feed, topic) == {Kind.SENT: 4, Kind.CONFIRMED: 2, Kind.REFUSED: 1, Kind.IN_DOUBT: 1}
    assert await read_all(topic) == [1, 4]


async def test_a_pipeline_of_an_idempotent_producer_ends_though_the_broker_is_dead(
    client: KafkaClient, topic: Topic, feed: Feed, server: Server
) -> None:
    producer = await client.producer(idempotent=True, delivery_timeout=5.0)
    await producer.publish(topic, 0)
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            pipeline = producer.pipeline(topic)
            for number in range(5):
                await pipeline.publish(number)
            await pipeline.drain()
        assert [type(failure) for failure in pipeline.failed] == [PublishInDoubt] * 5
    finally:
        await server.restart()
    assert counts(feed, topic) == {Kind.SENT: 6, Kind.CONFIRMED: 1, Kind.IN_DOUBT: 5}


async def test_a_message_in_doubt_may_be_in_the_log(
    client: KafkaClient, topic: Topic, feed: Feed, server: Server
) -> None:
    producer = await client.producer(delivery_timeout=0.5)
    await producer.publish(topic, "before")
    await server.pause()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(PublishInDoubt) as caught:
                await producer.publish(topic, "in doubt")
        assert caught.value.__cause__ is not None
    finally:
        await server.resume()
    await until_end(topic, 2)
    assert counts(feed, topic) == {Kind.SENT: 2, Kind.CONFIRMED: 1, Kind.IN_DOUBT: 1}
    assert await read_all(topic) == ["before", "in doubt"]


async def test_a_producer_is_closed_with_its_client(server: Server) -> None:
    async with KafkaClient(server.url) as client:
        topic = await client.topic(unique("orders"))
        producer = await client.producer()
        await producer.publish(topic, 1)
    assert producer.native is None
    with pytest.raises(Exception, match="closed"):
        await producer.publish(topic, 2)


async def test_nothing_is_counted_where_nobody_wants_to_know(server: Server) -> None:
    async with KafkaClient(server.url) as client:
        topic = await client.topic(unique("orders"))
        assert topic.meters("shop") is None
        await topic.publish(1)
        async with topic.pipeline() as pipeline:
            await pipeline.publish(2)
        async with topic.subscribe(unique("billing"), start="earliest") as subscription:
            assert await take(subscription, 2) == [1, 2]
