"""Kafka's consumer groups: places that are stored by hand, rebalances, and ways through the log."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING, Any

import pytest

from labkit.brokers.kafka.channels.delivery import TopicDelivery
from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.errors import BrokerError, SettleFailed
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.kafka.reading import take
from tests.brokers.kafka.test_producers import AT_MOST
from tests.support import unique, until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def publish(topic: Topic, count: int) -> None:
    async with topic.pipeline() as pipeline:
        for number in range(count):
            await pipeline.publish(number)


async def test_a_commit_by_hand_is_where_the_group_goes_on(topic: Topic, feed: Feed) -> None:
    group = unique("billing")
    await publish(topic, 5)
    async with topic.subscribe("anna", group=group, start="earliest", commit="manual") as subscription:
        deliveries = [await anext(subscription) for _ in range(4)]
        await deliveries[2].commit()
    async with topic.subscribe("bert", group=group, start="earliest") as subscription:
        assert await take(subscription, 2) == [3, 4]
    assert feed.count(Kind.SETTLED, Place("kafka", topic.name, "anna")) == 1


async def test_what_was_not_committed_by_hand_comes_again(topic: Topic) -> None:
    group = unique("billing")
    await publish(topic, 3)
    for _ in range(2):
        async with topic.subscribe("anna", group=group, start="earliest", commit="manual") as subscription:
            assert await take(subscription, 3) == [0, 1, 2]


async def test_a_handler_that_returns_commits(client: KafkaClient, topic: Topic) -> None:
    group = unique("billing")
    await publish(topic, 3)
    seen: list[int] = []
    subscription = topic.subscribe("anna", group=group, start="earliest", commit="manual")
    async with subscription:
        subscription.run(lambda delivery: seen.append(delivery.value))
        await publish(topic, 1)  # when this one is at hand, those before are committed
        await until(lambda: len(seen) == 4)
    places = await client.admin.group_offsets(group)
    assert [place >= 3 for place in places.values()] == [True]


async def test_what_a_handler_was_at_work_on_when_it_was_closed_comes_again(topic: Topic) -> None:
    group = unique("billing")
    await publish(topic, 3)
    begun: list[int] = []
    done: list[int] = []

    async def slow(delivery: TopicDelivery) -> None:
        begun.append(delivery.value)
        if delivery.value == 1:
            await asyncio.Event().wait()
        done.append(delivery.value)

    async with topic.subscribe("anna", group=group, start="earliest").run(slow):
        await until(lambda: begun == [0, 1])
    assert done == [0]
    async with topic.subscribe("bert", group=group, start="earliest") as subscription:
        assert await take(subscription, 2) == [1, 2]


async def test_an_error_gives_the_message_back_and_it_is_not_skipped(topic: Topic) -> None:
    await publish(topic, 3)
    done: list[int] = []
    tries = 0
    async with topic.subscribe(unique("billing"), start="earliest", commit="manual") as subscription:
        while len(done) < 3:
            try:
                async with await anext(subscription) as delivery:
                    tries += 1
                    if delivery.value == 1 and tries < 4:
                        raise ZeroDivisionError
                    done.append(delivery.value)
            except ZeroDivisionError:
                pass
    assert (done, tries) == ([0, 1, 2], 5)


async def test_what_was_given_back_often_enough_is_put_aside_with_where_it_came_from(
    topic: Topic, feed: Feed
) -> None:
    poisoned = await topic.dead_letters()
    assert poisoned.name == f"{topic.name}.dlq"
    await topic.publish("poison", key="anna", headers={"event": "created"})
    await topic.publish("good")
    async with topic.subscribe(
        "billing", start="earliest", dead_letters=poisoned, attempts=2
    ) as subscription:
        for _ in range(2):
            delivery = await anext(subscription)
            assert delivery.value == "poison"
            await delivery.give_back()
        assert (await anext(subscription)).value == "good"
    async with poisoned.subscribe(unique("audit"), start="earliest") as subscription:
        aside = await anext(subscription)
    assert (aside.value, aside.message.key) == ("poison", "anna")
    assert aside.message.headers == {
        "event": "created",
        "origin-topic": topic.name,
        "origin-partition": "0",
        "origin-offset": "0",
        "reason": "given back too often",
    }
    assert feed.count(Kind.DEAD_LETTERED, Place("kafka", topic.name, "billing")) == 1


async def test_a_delivery_can_be_put_aside_at_once(topic: Topic) -> None:
    poisoned = await topic.dead_letters()
    await topic.publish("poison")
    async with topic.subscribe(unique("billing"), start="earliest", dead_letters=poisoned) as subscription:
        await (await anext(subscription)).put_aside("no such customer")
    async with poisoned.subscribe(unique("audit"), start="earliest") as subscription:
        headers = (await anext(subscription)).message.headers
    assert headers is not None
    assert headers["reason"] == "no such customer"


async def test_seeking_goes_anywhere_that_is_kept(topic: Topic) -> None:
    for number in range(5):
        await topic.publish(number, timestamp=1000.0 + number)
    async with topic.subscribe(unique("billing"), start="earliest") as subscription:
        assert await take(subscription, 5) == [0, 1, 2, 3, 4]
        await subscription.seek(0, 3)
        assert await take(subscription, 2) == [3, 4]
        await subscription.seek_to_time(datetime.datetime.fromtimestamp(1001, datetime.UTC))
        assert await take(subscription, 1) == [1]
        await subscription.seek_to_time(5000.0)
        await topic.publish("new")
        assert await take(subscription, 1) == ["new"]


async def test_seeking_back_and_closing_leaves_the_group_where_it_was_read_to(topic: Topic) -> None:
    group = unique("billing")
    await publish(topic, 5)
    async with topic.subscribe("anna", group=group, start="earliest") as subscription:
        await take(subscription, 5)
        await subscription.seek(0, 1)
        assert await take(subscription, 1) == [1]
    async with topic.subscribe("anna", group=group) as subscription:
        assert await take(subscription, 1) == [2]


async def test_seeking_in_a_partition_that_is_not_read_says_which_are(topic: Topic) -> None:
    async with topic.subscribe(unique("billing")) as subscription:
        with pytest.raises(BrokerError, match="offset 0 of"):
            await subscription.seek(7, 0)


async def test_a_paused_partition_gives_nothing_and_goes_on_when_resumed(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=2)
    async with topic.subscribe(unique("billing")) as subscription:
        subscription.pause(0)
        await topic.publish("paused", partition=0)
        await topic.publish("flowing", partition=1)
        assert await take(subscription, 1) == ["flowing"]
        subscription.resume()
        assert await take(subscription, 1) == ["paused"]


async def test_a_partition_paused_in_the_middle_goes_on_where_it_stopped(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=2)
    for number in range(50):
        for partition in (0, 1):
            await topic.publish([partition, number], partition=partition)
    async with topic.subscribe(unique("billing"), start="earliest") as subscription:
        before = await take(subscription, 10)  # and as many more are read ahead
        subscription.pause(0)
        at = sum(partition == 0 for partition, _ in before)
        flowing = await take(subscription, 50 - (10 - at))
        assert {partition for partition, _ in flowing} == {1}
        subscription.resume()
        resumed = await take(subscription, 50 - at)
    everything = before + flowing + resumed
    assert [number for partition, number in everything if partition == 0] == list(range(50))
    assert [number for partition, number in everything if partition == 1] == list(range(50))


async def test_a_slow_reader_that_goes_on_reading_keeps_its_partitions(topic: Topic) -> None:
    await publish(topic, 30)
    patience = {"max_poll_interval_ms": 2000}
    async with topic.subscribe(unique("billing"), start="earliest", native_options=patience) as subscription:
        at_first = list(subscription.rebalances)
        received = []
        async for delivery in subscription:
            received.append(delivery.value)
            await asyncio.sleep(0.1)  # the work: all of it takes longer than that, though all is read ahead
            if len(received) == 30:
                break
        assert subscription.rebalances == at_first
    assert received == list(range(30))


async def test_lag_is_what_the_group_has_not_committed(topic: Topic) -> None:
    await publish(topic, 10)
    async with topic.subscribe(unique("billing"), start="earliest", commit="manual") as subscription:
        assert list((await subscription.lag()).values()) == [10]
        for _ in range(3):
            await (await anext(subscription)).commit()
        assert list((await subscription.lag()).values()) == [7]


async def test_one_subscriber_can_read_several_topics(client: KafkaClient, topic: Topic) -> None:
    other = await client.topic(unique("invoices"))
    await topic.publish("order")
    await other.publish("invoice")
    async with topic.subscribe(unique("audit"), start="earliest", also=[other]) as subscription:
        deliveries = [await anext(subscription) for _ in range(2)]
        assert {place.topic for place in subscription.assignment} == {topic.name, other.name}
    assert {(one.message.channel, one.value) for one in deliveries} == {
        (topic.name, "order"),
        (other.name, "invoice"),
    }


async def test_a_group_shares_partitions_out_and_its_members_see_it(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=2)
    group = unique("billing")
    first = await topic.subscribe("anna", group=group, heartbeat=0.1).open()
    assert [(one.what, len(one.partitions)) for one in first.rebalances] == [("revoked", 0), ("assigned", 2)]
    waiting = asyncio.create_task(take(first, 1))  # whoever reads takes part in rebalances
    second = await topic.subscribe("bert", group=group, heartbeat=0.1).open()
    await until(lambda: len(first.rebalances) == 4)
    assert [(one.what, len(one.partitions)) for one in first.rebalances[2:]] == [
        ("revoked", 2),
        ("assigned", 1),
    ]
    assert {*first.assignment} | {*second.assignment} == {(topic.name, 0), (topic.name, 1)}
    await topic.publish("hers", partition=first.assignment[0].partition)
    assert await waiting == ["hers"]
    await second.close()
    await first.close()


# Apart by about as long as a member takes to open: the next then disturbs it while it looks for its place.
@pytest.mark.parametrize("apart", [0.0, 0.03, 0.06, 0.09, 0.12])
async def test_members_that_join_while_others_do_all_open(client: KafkaClient, apart: float) -> None:
    topic = await client.topic(unique("orders"), partitions=4)
    group = unique("billing")
    members = [topic.subscribe(unique("worker"), group=group, heartbeat=0.05) for _ in range(4)]
    opening = []
    for member in members:
        opening.append(asyncio.create_task(member.open()))
        await asyncio.sleep(apart)
    await asyncio.gather(*opening)
    await until(lambda: sorted(len(member.assignment) for member in members) == [1, 1, 1, 1])
    await asyncio.gather(*(member.close() for member in members))


async def test_a_commit_after_a_rebalance_fails_and_the_message_comes_again(client: KafkaClient) -> None:
    topic = await client.topic(unique("orders"), partitions=2)
    group = unique("billing")
    await topic.publish("order", partition=0)
    options: dict[str, Any] = {"group": group, "start": "earliest", "commit": "manual", "heartbeat": 0.1}
    first = await topic.subscribe("anna", **options).open()
    delivery = await anext(first)
    second = await topic.subscribe("bert", **options).open()
    await until(lambda: len(first.rebalances) == 4)
    with pytest.raises(SettleFailed, match="rebalanced"):
        await delivery.commit()
    reader = first if (topic.name, 0) in first.assignment else second
    assert await take(reader, 1) == ["order"]
    await first.close()
    await second.close()


async def test_a_reader_that_vanished_is_replaced_when_its_session_is_over(topic: Topic) -> None:
    group = unique("billing")
    await publish(topic, 2)
    options: dict[str, Any] = {
        "group": group,
        "start": "earliest",
        "commit": "manual",
        "session_timeout": 1.0,
    }
    dying = await topic.subscribe("anna", **options).open()
    assert await take(dying, 2) == [0, 1]
    await dying.vanish()
    async with topic.subscribe("bert", **options) as heir:
        assert await take(heir, 2) == [0, 1]


async def test_a_commit_to_a_dead_broker_ends(topic: Topic, server: Server) -> None:
    await publish(topic, 1)
    async with topic.subscribe(unique("billing"), start="earliest", commit="manual") as subscription:
        delivery = await anext(subscription)
        await server.kill()
        try:
            async with asyncio.timeout(AT_MOST):
                with pytest.raises(SettleFailed) as caught:
                    await delivery.commit()
            assert caught.value.__cause__ is not None
        finally:
            await server.restart()


async def test_a_key_that_is_no_text_can_be_read(client: KafkaClient, topic: Topic) -> None:
    await client.native.send_and_wait(topic.name, b"1", key=b"\xff")
    async with topic.subscribe(unique("billing"), start="earliest") as subscription:
        delivery = await anext(subscription)
    assert delivery.message.key == "\\xff"
    assert delivery.native.key == b"\xff"
