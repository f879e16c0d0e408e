"""Looking after Kafka: topics, partitions, offsets, groups."""

from __future__ import annotations

import datetime

import pytest

from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.offsets import Span
from labkit.errors import Conflict, NotFound
from tests.support import unique

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_topic_is_listed_until_it_is_deleted(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"))
    assert topic.name in await client.admin.topics()
    await topic.delete()
    assert topic.name not in await client.admin.topics()
    with pytest.raises(NotFound, match=topic.name):
        await topic.delete()


async def test_a_topic_that_was_deleted_can_be_made_anew_with_other_partitions(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"))
    await topic.publish(1)
    await topic.delete()
    again = await client.topic(topic.name, partitions=2)
    assert again.partitions == 2
    assert await again.depth() == 0


async def test_a_topic_has_the_settings_it_was_made_with(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), configs={"retention.ms": "60000"})
    assert (await client.admin.configs(topic.name))["retention.ms"] == "60000"


async def test_a_topic_that_exists_is_found_with_its_partitions(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=2)
    assert (await client.find_topic(topic.name)).partitions == 2


async def test_partitions_can_be_added_and_not_taken_away(client: KafkaClient, topic: Topic) -> None:
    grown = await client.add_partitions(topic.name, 3)
    assert grown.partitions == 3
    assert (await grown.publish(1, partition=2)).partition == 2
    with pytest.raises(Conflict):
        await client.add_partitions(topic.name, 2)


async def test_offsets_tell_where_a_partition_begins_and_ends(topic: Topic) -> None:
    for number in range(5):
        await topic.publish(number)
    assert await topic.offsets() == {0: Span(0, 5)}
    assert await topic.delete_before({0: 2}) == {0: 2}
    assert await topic.offsets() == {0: Span(2, 5)}


async def test_an_offset_can_be_found_by_time(topic: Topic) -> None:
    for number in range(5):
        await topic.publish(number, timestamp=1000.0 + number)
    assert await topic.offset_at(1001.5) == {0: 2}
    assert await topic.offset_at(datetime.datetime.fromtimestamp(1001, datetime.UTC)) == {0: 1}
    assert await topic.offset_at(2000.0) == {0: 5}


async def test_a_group_tells_its_members_and_its_place(client: KafkaClient, topic: Topic) -> None:
    group = unique("billing")
    await topic.publish(1)
    async with topic.subscribe("anna", group=group, start="earliest", commit="manual") as subscription:
        delivery = await anext(subscription)
        await delivery.commit()
        assert group in await client.admin.groups()
        told = await client.admin.group(group)
        assert (told.state, [member.name for member in told.members]) == ("Stable", ["anna"])
        assert await client.admin.group_offsets(group) == delivery.position
    assert (await client.admin.group(group)).members == ()


async def test_an_unknown_group_is_not_found(client: KafkaClient) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await client.admin.group(unique("nobody"))
