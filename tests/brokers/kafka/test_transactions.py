"""Kafka's transactions: all or nothing, over topics and places."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from labkit.brokers.kafka.channels.delivery import TopicDelivery
from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.transactions import Transactions
from labkit.errors import BrokerError, NotAllowed, NotFound, PublishInDoubt, PublishRefused
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.kafka.reading import LAST, read_all, take
from tests.brokers.kafka.test_producers import AT_MOST, counts
from tests.support import unique

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def committed(topic: Topic) -> list[object]:
    return await read_all(topic, isolation="read_committed")


async def test_a_commit_makes_messages_in_several_topics_valid(
    client: KafkaClient, topic: Topic, feed: Feed
) -> None:
    invoices = await client.topic(unique("invoices"))
    shop = await client.transactions(unique("shop"))
    async with shop.transaction() as tx:
        await tx.publish(topic, "order", key="anna", headers={"event": "created"})
        await tx.publish(invoices, "invoice")
        assert counts(feed, topic) == {Kind.SENT: 1}
    assert counts(feed, topic) == counts(feed, invoices) == {Kind.SENT: 1, Kind.CONFIRMED: 1}
    assert (await committed(topic), await committed(invoices)) == (["order"], ["invoice"])


async def test_an_error_aborts_all_of_it(client: KafkaClient, topic: Topic, feed: Feed) -> None:
    invoices = await client.topic(unique("invoices"))
    shop = await client.transactions(unique("shop"))
    with pytest.raises(ZeroDivisionError):
        await publish_and_fail(shop, topic, invoices)
    assert counts(feed, topic) == counts(feed, invoices) == {Kind.SENT: 1, Kind.REFUSED: 1}
    assert (await committed(topic), await committed(invoices)) == ([], [])


async def publish_and_fail(shop: Transactions, *topics: Topic) -> None:
    async with shop.transaction() as tx:
        for topic in topics:
            await tx.publish(topic, "never valid")
        raise ZeroDivisionError


async def test_read_uncommitted_sees_what_was_aborted(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"))
    async with shop.transaction() as tx:
        await tx.publish(topic, "aborted")
        await tx._deliver()
        await tx.abort()
    assert await read_all(topic) == ["aborted"]
    assert await committed(topic) == []


async def test_a_batch_with_one_message_that_is_refused_is_aborted_as_a_whole(
    client: KafkaClient, feed: Feed
) -> None:
    topic = await client.topic(unique("small"), configs={"max.message.bytes": "1000"})
    shop = await client.transactions(unique("shop"))
    with pytest.raises(PublishRefused, match="MessageSizeTooLarge"):
        await publish_batch(shop, topic, [b"x", b"y" * 5000, b"z"])
    assert counts(feed, topic) == {Kind.SENT: 3, Kind.REFUSED: 3}
    await publish_batch(shop, topic, [b"1", b"2"])
    assert await committed(topic) == [1, 2]


async def publish_batch(shop: Transactions, topic: Topic, values: list[bytes]) -> None:
    async with shop.transaction() as tx:
        await tx.publish_all(topic, values)


async def test_an_unknown_topic_aborts_the_transaction(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"), delivery_timeout=0.5)
    with pytest.raises(NotFound):
        await publish_to_nowhere(shop, topic)
    assert await committed(topic) == []


async def publish_to_nowhere(shop: Transactions, topic: Topic) -> None:
    async with shop.transaction() as tx:
        await tx.publish(topic, 1)
        await tx.publish(unique("nowhere"), 1)


async def test_nobody_reads_behind_an_open_transaction(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"))
    options: dict[str, Any] = {"start": "earliest", "commit": "manual"}
    careful = topic.subscribe(unique("careful"), isolation="read_committed", **options)
    careless = topic.subscribe(unique("careless"), **options)
    async with careful, careless:
        async with shop.transaction() as tx:
            await tx.publish(topic, "in the transaction")
            await tx._deliver()
            await topic.publish("behind it")
            assert await take(careless, 2) == ["in the transaction", "behind it"]
            assert list((await careless.lag()).values()) == [2]
            assert list((await careful.lag()).values()) == [0]
        assert await take(careful, 2) == ["in the transaction", "behind it"]
        assert list((await careful.lag()).values()) == [3]  # the end of a transaction takes an offset


async def test_a_place_moves_with_the_transaction(client: KafkaClient, topic: Topic, feed: Feed) -> None:
    invoices = await client.topic(unique("invoices"))
    billing = await client.transactions(unique("billing-tx"))
    group = unique("billing")
    await topic.publish("order")
    async with topic.subscribe("billing", group=group, start="earliest", commit="manual") as subscription:
        with pytest.raises(ZeroDivisionError):
            await work(billing, await anext(subscription), invoices, fails=True)
        assert list((await client.admin.group_offsets(group)).values()) == [0]
        delivery = await anext(subscription)
        assert delivery.value == "order"
        await work(billing, delivery, invoices, fails=False)
        assert delivery.is_settled
    async with billing.transaction() as tx:  # begins when the one before is over everywhere
        await tx.publish(invoices, LAST)
    assert list((await client.admin.group_offsets(group)).values()) == [1]
    assert (await committed(invoices))[:1] == ["invoice"]
    assert feed.count(Kind.SETTLED, Place("kafka", topic.name, "billing")) == 1


async def work(billing: Transactions, delivery: TopicDelivery, invoices: Topic, *, fails: bool) -> None:
    async with delivery, billing.transaction() as tx:
        await tx.publish(invoices, "invoice")
        await tx.settle(delivery)
        if fails:
            raise ZeroDivisionError


async def test_places_can_be_given_by_hand(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"))
    group = unique("billing")
    for number in range(3):
        await topic.publish(number)
    async with topic.subscribe(group, start="earliest", commit="manual") as subscription:
        deliveries = [await anext(subscription) for _ in range(2)]
    async with shop.transaction() as tx:
        await tx.commit_offsets(group, deliveries[1].position)
    async with shop.transaction() as tx:  # begins when the one before is over everywhere
        await tx.publish(topic, LAST)
    assert await client.admin.group_offsets(group) == deliveries[1].position


async def test_a_newer_producer_with_the_same_id_fences_the_older_off(
    client: KafkaClient, topic: Topic, feed: Feed
) -> None:
    name = unique("shop")
    zombie = await client.transactions(name)
    with pytest.raises(NotAllowed, match=name) as caught:
        await publish_while_another_takes_over(client, zombie, name, topic)
    assert isinstance(caught.value, PublishRefused)
    with pytest.raises(NotAllowed, match="newer producer"):
        await publish_batch(zombie, topic, [b"1"])
    assert counts(feed, topic)[Kind.REFUSED] == 1
    assert await committed(topic) == ["heir"]


async def publish_while_another_takes_over(
    client: KafkaClient, zombie: Transactions, name: str, topic: Topic
) -> None:
    async with zombie.transaction() as tx:
        await tx.publish(topic, "zombie")
        await tx._deliver()
        heir = await client.transactions(name)
        async with heir.transaction() as newer:
            await newer.publish(topic, "heir")


async def test_a_commit_that_a_frozen_broker_does_not_answer_is_in_doubt(
    client: KafkaClient, topic: Topic, feed: Feed, server: Server
) -> None:
    shop = await client.transactions(unique("shop"), delivery_timeout=5.0)
    tx = shop.transaction()
    await tx.__aenter__()
    await tx.publish(topic, "in doubt")
    await tx._deliver()
    await server.pause()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(PublishInDoubt):
                await tx.__aexit__(None, None, None)
    finally:
        await server.resume()
    assert counts(feed, topic) == {Kind.SENT: 1, Kind.IN_DOUBT: 1}
    await publish_batch(shop, topic, [b"1"])  # a new producer, which ends what the old one left open
    assert (await committed(topic))[-1] == 1


async def test_a_transaction_with_a_dead_broker_ends_and_the_next_works_when_it_is_back(
    client: KafkaClient, topic: Topic, feed: Feed, server: Server
) -> None:
    shop = await client.transactions(unique("shop"), delivery_timeout=5.0)
    await publish_batch(shop, topic, [b"1"])
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(PublishRefused):
                await publish_batch(shop, topic, [b"2"])
    finally:
        await server.restart()
    await publish_batch(shop, topic, [b"3"])
    assert counts(feed, topic) == {Kind.SENT: 3, Kind.CONFIRMED: 2, Kind.REFUSED: 1}
    assert await committed(topic) == [1, 3]


async def test_a_transactional_id_has_one_transaction_at_a_time(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"))
    async with shop.transaction() as tx:
        await tx.publish(topic, 1)
        with pytest.raises(BrokerError, match="one at a time"):
            await shop.transaction().__aenter__()
    assert await committed(topic) == [1]


async def test_a_transaction_that_is_over_takes_nothing_more(client: KafkaClient, topic: Topic) -> None:
    shop = await client.transactions(unique("shop"))
    async with shop.transaction() as tx:
        await tx.publish(topic, 1)
    with pytest.raises(PublishRefused, match="over"):
        await tx.publish(topic, 2)


async def test_closing_aborts_what_is_open_so_that_nobody_waits_behind_it(
    client: KafkaClient, topic: Topic, feed: Feed
) -> None:
    shop = await client.transactions(unique("shop"))
    tx = await shop.transaction().__aenter__()
    await tx.publish(topic, "open")
    await shop.close()
    assert counts(feed, topic) == {Kind.SENT: 1, Kind.REFUSED: 1}
    assert await committed(topic) == []
