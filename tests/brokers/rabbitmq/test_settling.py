"""What a subscriber tells RabbitMQ about a message, and what then happens to it."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import SettleFailed
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import LAST, depth_becomes, take, values_until_last

pytestmark = pytest.mark.asyncio(loop_scope="session")

KINDS = pytest.mark.parametrize("kind", ["classic", "quorum"])


@KINDS
async def test_a_block_that_ends_well_acknowledges(
    client: RabbitmqClient, name: str, kind: Any, feed: Feed
) -> None:
    queue = await client.queue(name, kind=kind, dead_letter=True)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        async with delivery:
            pass
        assert delivery.is_settled
    await queue.publish(LAST)
    assert await values_until_last(queue.subscribe("audit")) == []
    assert feed.count(Kind.SETTLED, Place("rabbitmq", name, "billing")) == 1


@KINDS
async def test_a_block_that_raises_rejects(client: RabbitmqClient, name: str, kind: Any, feed: Feed) -> None:
    queue = await client.queue(name, kind=kind, dead_letter=True)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        with pytest.raises(ZeroDivisionError):
            async with delivery:
                raise ZeroDivisionError
    assert queue.dead_letters is not None
    async with queue.dead_letters.subscribe("doctor") as dead:
        [letter] = await take(dead, 1)
    assert (letter.value, letter.reason) == ("order", "rejected")
    assert feed.count(Kind.SETTLED, Place("rabbitmq", name, "billing")) == 0


@KINDS
@pytest.mark.parametrize("how", ["nack", "reject"])
async def test_what_is_given_back_comes_again_and_says_so(
    client: RabbitmqClient, name: str, kind: Any, how: str
) -> None:
    queue = await client.queue(name, kind=kind)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        await getattr(delivery, how)(requeue=True)
        [again] = await take(deliveries, 1)
        assert (delivery.redelivered, again.redelivered) == (False, True)
        await again.ack()


@KINDS
@pytest.mark.parametrize("how", ["nack", "reject"])
async def test_what_is_refused_is_dropped_where_there_is_no_place_for_it(
    client: RabbitmqClient, name: str, kind: Any, how: str
) -> None:
    queue = await client.queue(name, kind=kind)
    await queue.publish("order")
    await queue.publish(LAST)
    async with queue.subscribe("billing") as deliveries:
        [delivery, last] = await take(deliveries, 2)
        await getattr(delivery, how)(requeue=False)
        await last.nack()
    assert await values_until_last(queue.subscribe("audit")) == []


async def test_what_the_block_settled_itself_is_left_alone(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        async with delivery:
            await delivery.nack()
        [again] = await take(deliveries, 1)
        await again.ack()
        await again.ack()
    await depth_becomes(queue, 0)


@pytest.mark.parametrize("how", ["ack", "nack", "reject"])
async def test_settling_what_came_by_a_channel_that_is_gone_says_so(
    client: RabbitmqClient, name: str, how: str
) -> None:
    queue = await client.queue(name)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
    with pytest.raises(SettleFailed, match=name) as caught:
        await getattr(delivery, how)()
    assert caught.value.__cause__ is not None
    async with queue.subscribe("billing") as deliveries:
        [again] = await take(deliveries, 1)
        assert again.redelivered


async def test_no_more_is_handed_out_than_the_prefetch(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    for number in range(20):
        await queue.publish(number)
    async with queue.subscribe("billing", prefetch=3) as deliveries:
        first = await take(deliveries, 3)
        await depth_becomes(queue, 17)
        await first[0].ack()
        await depth_becomes(queue, 16)


async def test_subscribers_of_one_queue_share_its_messages(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    async with (
        queue.subscribe("first", prefetch=5) as first,
        queue.subscribe("second", prefetch=5) as second,
    ):
        for number in range(10):
            await queue.publish(number)
        values = [delivery.value for delivery in await take(first, 5) + await take(second, 5)]
    assert sorted(values) == list(range(10))
