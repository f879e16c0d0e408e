"""What a queue can be told when it is made."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import Conflict, NotFound, PublishRefused, Unsupported
from tests.brokers.rabbitmq.support import LAST, depth_becomes, take, values_until_last
from tests.support import until_told

pytestmark = pytest.mark.asyncio(loop_scope="session")

KINDS = ("classic", "quorum")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_goes_when_its_time_is_over(client: RabbitmqClient, name: str, kind: Any) -> None:
    queue = await client.queue(name, kind=kind, message_ttl=0.05, dead_letter=True)
    await queue.publish("order")
    assert queue.dead_letters is not None
    async with queue.dead_letters.subscribe("doctor") as dead:
        [letter] = await take(dead, 1)
    assert letter.reason == "expired"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_that_has_time_holds_up_those_behind_it_that_have_none(
    client: RabbitmqClient, name: str, kind: Any
) -> None:
    queue = await client.queue(name, kind=kind)
    fence = await client.queue(f"{name}.fence", kind=kind, dead_letter=True)
    await queue.publish("long", expiration=600.0)
    await queue.publish("short", expiration=0.05)
    await fence.publish("short", expiration=0.3)  # published later, expires later: and yet goes first
    assert fence.dead_letters is not None
    async with fence.dead_letters.subscribe("doctor") as dead:
        await take(dead, 1)
    assert await queue.depth() == 2
    async with queue.subscribe("billing", prefetch=1) as deliveries:
        [long] = await take(deliveries, 1)
        await long.ack()
        await depth_becomes(queue, 0)
        assert long.value == "long"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_queue_confirms_and_drops_the_oldest(
    client: RabbitmqClient, name: str, kind: Any
) -> None:
    queue = await client.queue(name, kind=kind, max_length=3)
    for number in range(10):
        await queue.publish(number)
    await depth_becomes(queue, 3)
    async with queue.subscribe("billing") as deliveries:
        assert [delivery.value for delivery in await take(deliveries, 3)] == [7, 8, 9]


# A quorum queue takes one message more: it refuses once it has noticed that it is full.
@pytest.mark.parametrize(("kind", "most"), [("classic", 3), ("quorum", 4)])
async def test_a_full_queue_can_refuse_instead(
    client: RabbitmqClient, name: str, kind: Any, most: int
) -> None:
    queue = await client.queue(name, kind=kind, max_length=3, overflow="reject-publish")
    accepted = []
    for number in range(10):
        with suppress(PublishRefused):
            await queue.publish(number)
            accepted.append(number)
    assert accepted == list(range(len(accepted)))
    assert 3 <= len(accepted) <= most
    async with queue.subscribe("billing") as deliveries:
        assert [delivery.value for delivery in await take(deliveries, len(accepted))] == accepted


async def test_a_queue_nobody_uses_goes(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name, expires=0.05)
    client.forget(queue)
    with pytest.raises(NotFound):
        await until_told(queue.depth, lambda depth: False, pause=0.5)  # each question is a use


async def test_a_queue_with_priorities_hands_out_the_higher_first(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name, max_priority=5)
    for priority in (1, 5, 3):
        await queue.publish(priority, priority=priority)
    await queue.publish(LAST)
    assert await values_until_last(queue.subscribe("billing")) == [5, 3, 1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_single_active_consumer_gets_everything_until_it_goes(
    client: RabbitmqClient, name: str, kind: Any
) -> None:
    queue = await client.queue(name, kind=kind, single_active_consumer=True)
    first = await queue.subscribe("first").open()
    second = await queue.subscribe("second").open()
    for number in range(10):
        await queue.publish(number)
    for delivery in await take(first, 10):
        await delivery.ack()
    await first.close()
    await queue.publish("next")
    [delivery] = await take(second, 1)
    assert delivery.value == "next"
    await second.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_given_back_goes_to_the_front(client: RabbitmqClient, name: str, kind: Any) -> None:
    queue = await client.queue(name, kind=kind)
    assert await _order_with_one_given_back(queue) == [0, 1, 1, 2, 3, 4]


async def test_without_a_limit_a_quorum_queue_puts_it_at_the_end(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name, kind="quorum", delivery_limit=-1)
    assert await _order_with_one_given_back(queue) == [0, 1, 2, 3, 4, 1]


async def _order_with_one_given_back(queue: Any) -> list[int]:
    for number in range(5):
        await queue.publish(number)
    order = []
    async with queue.subscribe("billing", prefetch=1) as deliveries:
        for _ in range(6):
            [delivery] = await take(deliveries, 1)
            order.append(delivery.value)
            await (delivery.nack() if len(order) == 2 else delivery.ack())
    return order


@pytest.mark.parametrize(("options", "attempts"), [({}, 21), ({"delivery_limit": 3}, 4)])
async def test_a_quorum_queue_puts_aside_what_came_back_too_often(
    client: RabbitmqClient, name: str, options: dict[str, Any], attempts: int
) -> None:
    queue = await client.queue(name, kind="quorum", dead_letter=True, **options)
    await queue.publish("poison")
    counts = []
    assert queue.dead_letters is not None
    async with queue.subscribe("billing") as deliveries, queue.dead_letters.subscribe("doctor") as dead:
        letter = asyncio.ensure_future(anext(dead))
        while not letter.done():
            taking = asyncio.ensure_future(anext(deliveries))
            await asyncio.wait((letter, taking), return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                counts.append(taking.result().delivery_count or 0)
                await taking.result().nack()
            else:
                taking.cancel()
        assert (await letter).reason == "delivery_limit"
    assert counts == list(range(attempts))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("classic", {"delivery_limit": 3}),
        ("quorum", {"max_priority": 5}),
        ("quorum", {"overflow": "reject-publish-dlx"}),
    ],
)
async def test_what_a_kind_does_not_have_is_said_before_the_broker_is_asked(
    client: RabbitmqClient, name: str, kind: Any, options: Any
) -> None:
    with pytest.raises(Unsupported, match="queue") as caught:
        await client.queue(name, kind=kind, **options)
    assert caught.value.remedy


async def test_a_queue_that_was_made_differently_is_a_conflict(client: RabbitmqClient, name: str) -> None:
    await client.queue(name)
    with pytest.raises(Conflict, match="x-queue-type"):
        await client.queue(name, kind="quorum")
    assert client.is_restored


async def test_a_passive_queue_is_taken_as_it_is(client: RabbitmqClient, name: str) -> None:
    await (await client.queue(name, kind="quorum", max_length=7)).publish("order")
    other = RabbitmqClient(client.url)
    async with other:
        found = await other.queue(name, passive=True)
        async with found.subscribe("billing") as deliveries:
            [delivery] = await take(deliveries, 1)
    assert delivery.value == "order"


async def test_a_passive_queues_subscriber_hears_again_after_the_broker_was_killed(
    client: RabbitmqClient, name: str, server: Any
) -> None:
    queue = await client.queue(name)
    await client.queue(f"{name}.newest")  # which RabbitMQ 4.0 may lose
    async with RabbitmqClient(client.url) as other:
        found = await other.queue(name, passive=True)
        async with found.subscribe("billing") as deliveries:
            await server.kill()
            await server.restart()
            await queue.ready()
            await queue.publish("order")
            [delivery] = await take(deliveries, 1)
    assert delivery.value == "order"
