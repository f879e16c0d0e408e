"""What was put aside says why, and is counted as that."""

from __future__ import annotations

import pytest

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import take

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_dead_letters_are_counted_as_what_happened_to_them(
    client: RabbitmqClient, name: str, feed: Feed
) -> None:
    queue = await client.queue(name, max_length=1, dead_letter=True)
    await queue.publish("pushed out")
    await queue.publish("expired", expiration=0.05)
    assert queue.dead_letters is not None
    async with queue.dead_letters.subscribe("doctor") as dead:
        letters = await take(dead, 2)
        assert [(letter.value, letter.reason) for letter in letters] == [
            ("pushed out", "maxlen"),
            ("expired", "expired"),
        ]
        for letter in letters:
            await letter.ack()
    counts = {kind: feed.count(kind, Place("rabbitmq", f"{name}.dlq", "doctor")) for kind in Kind}
    assert (counts[Kind.DEAD_LETTERED], counts[Kind.EXPIRED], counts[Kind.DELIVERED]) == (1, 1, 0)
    assert counts[Kind.SETTLED] == 2


async def test_a_dead_letter_knows_where_it_comes_from(client: RabbitmqClient, name: str) -> None:
    exchange = await client.exchange(f"{name}.dead", "topic")
    morgue = await client.dead_letters(f"{name}.morgue", bind=(exchange, "order.#"))
    queue = await client.queue(name, dead_letter=(exchange.name, "order.dead"))
    assert queue.dead_letters is None
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        await delivery.reject()
    async with morgue.subscribe("doctor") as dead:
        [letter] = await take(dead, 1)
        assert (letter.origin, letter.routing_key, letter.exchange) == (name, "order.dead", exchange.name)
        [death] = letter.deaths
        assert (death["count"], death["reason"], death["queue"]) == (1, "rejected", name)


async def test_a_message_is_held_back_by_a_queue_that_lets_it_expire(
    client: RabbitmqClient, name: str, feed: Feed
) -> None:
    queue = await client.queue(name)
    later = await client.delayed(queue, 0.2)
    await later.publish("later")
    await queue.publish("now")
    async with queue.subscribe("billing") as deliveries:
        assert [delivery.value for delivery in await take(deliveries, 2)] == ["now", "later"]
    assert feed.count(Kind.DELIVERED, Place("rabbitmq", name, "billing")) == 2
