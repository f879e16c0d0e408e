"""What Kafka refuses, and how clearly we say so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.errors import (
    BrokerError,
    ChannelClosed,
    Conflict,
    NotFound,
    PayloadError,
    PublishRefused,
    Unsupported,
)
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.kafka.test_producers import AT_MOST
from tests.support import unique

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_unknown_topic_is_not_found_and_the_message_refused(client: KafkaClient, feed: Feed) -> None:
    producer = await client.producer(delivery_timeout=0.5)
    name = unique("nowhere")
    with pytest.raises(NotFound, match=name) as caught:
        await producer.publish(name, 1)
    assert isinstance(caught.value, PublishRefused)
    assert caught.value.remedy
    assert feed.count(Kind.REFUSED, Place("kafka", name, "shop")) == 1


async def test_an_unknown_topic_of_a_dead_broker_is_not_called_unknown(
    client: KafkaClient, server: Server
) -> None:
    producer = await client.producer(delivery_timeout=0.5)
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(PublishRefused) as caught:
                await producer.publish(unique("nowhere"), 1)
        assert not isinstance(caught.value, NotFound)
    finally:
        await server.restart()


async def test_an_unknown_partition_is_not_found(topic: Topic) -> None:
    with pytest.raises(NotFound, match="partition"):
        await topic.publish(1, partition=7)


async def test_a_message_above_the_librarys_limit_is_refused(topic: Topic, feed: Feed) -> None:
    with pytest.raises(PublishRefused, match="MessageSizeTooLarge"):
        await topic.publish(b"x" * 2_000_000)
    assert feed.count(Kind.REFUSED, Place("kafka", topic.name, "shop")) == 1


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_message_above_the_topics_limit_is_refused_and_the_next_is_taken(
    client: KafkaClient, idempotent: bool
) -> None:
    topic = await client.topic(unique("small"), configs={"max.message.bytes": "1000"})
    producer = await client.producer(idempotent=idempotent)
    with pytest.raises(PublishRefused, match="MessageSizeTooLarge"):
        await producer.publish(topic, b"x" * 5000)
    assert await producer.publish(topic, b"x") is not None


@pytest.mark.parametrize("odd", [{"key": 7}, {"key": b"7"}, {"headers": {"event": 7}}])
async def test_keys_and_headers_that_are_no_text_are_a_payload_error(
    topic: Topic, odd: dict[str, Any]
) -> None:
    with pytest.raises(PayloadError, match="text"):
        await topic.publish(1, **odd)


async def test_a_value_that_is_no_json_is_a_payload_error(topic: Topic) -> None:
    with pytest.raises(PayloadError):
        await topic.publish({1, 2})


async def test_a_topic_with_other_partitions_is_a_conflict(client: KafkaClient, topic: Topic) -> None:
    with pytest.raises(Conflict, match="1 partitions, not 3"):
        await client.topic(topic.name, partitions=3)


async def test_a_setting_kafka_does_not_know_is_refused(client: KafkaClient) -> None:
    with pytest.raises(BrokerError, match="Unknown topic config name: colour"):
        await client.topic(unique("orders"), configs={"colour": "red"})


async def test_subscribing_to_an_unknown_topic_ends(client: KafkaClient) -> None:
    nowhere = Topic(client, unique("nowhere"), 1)
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(NotFound, match=nowhere.name):
            await nowhere.subscribe(unique("billing")).open()


async def test_a_session_shorter_than_the_broker_allows_says_what_it_allows(topic: Topic) -> None:
    subscription = topic.subscribe(unique("billing"), session_timeout=0.1, heartbeat=0.05)
    with pytest.raises(BrokerError) as caught:
        await subscription.open()
    assert "group.min.session.timeout.ms" in caught.value.remedy


async def test_a_closed_subscription_says_so(topic: Topic) -> None:
    subscription = topic.subscribe(unique("billing"))
    with pytest.raises(ChannelClosed):
        subscription.pause()
    with pytest.raises(ChannelClosed):
        await subscription.lag()


async def test_putting_aside_without_a_topic_for_it_says_how_to_have_one(topic: Topic) -> None:
    async with topic.subscribe(unique("billing")) as subscription:
        await topic.publish(1)
        delivery = await anext(subscription)
        with pytest.raises(Unsupported) as caught:
            await delivery.put_aside("no such customer")
    assert "dead_letters" in caught.value.remedy


@pytest.mark.parametrize("ask", ["topics", "groups"])
async def test_questions_to_a_dead_broker_end(client: KafkaClient, server: Server, ask: str) -> None:
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(BrokerError) as caught:
                await getattr(client.admin, ask)()
        assert caught.value.remedy
        assert caught.value.__cause__ is not None
    finally:
        await server.restart()


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_pipeline_tells_which_messages_were_refused_and_goes_on(
    client: KafkaClient, feed: Feed, idempotent: bool
) -> None:
    topic = await client.topic(unique("small"), configs={"max.message.bytes": "1000"})
    producer = await client.producer(idempotent=idempotent)
    pipeline = producer.pipeline(topic)
    await pipeline.publish(b"x" * 5000)
    await pipeline.drain()
    assert [type(failure) for failure in pipeline.failed] == [PublishRefused]
    assert pipeline.failed[0].__cause__ is not None
    await pipeline.publish(b"x")
    await pipeline.drain()
    assert pipeline.confirmed == 1
    assert feed.count(Kind.REFUSED, Place("kafka", topic.name, "shop")) == 1


async def test_a_closed_producer_says_so(client: KafkaClient, topic: Topic) -> None:
    async with await client.producer() as producer:
        await producer.publish(topic, 1)
    with pytest.raises(PublishRefused) as caught:
        await producer.publish(topic, 2)
    assert "client.producer" in caught.value.remedy
