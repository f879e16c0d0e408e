"""Asking, and answering."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import pytest

from labkit.brokers.rabbitmq.channels.delivery import QueueDelivery
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import BrokerError, ChannelClosed, NoReply, NoResponders
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import take
from tests.support import until, until_told

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = pytest.mark.parametrize("reply", ["direct", "queue"])


async def double(delivery: QueueDelivery) -> None:
    assert await delivery.reply(delivery.value * 2) is not False


@WAYS
async def test_every_request_gets_its_own_reply(
    client: RabbitmqClient, name: str, reply: Any, feed: Feed
) -> None:
    queue = await client.queue(name)
    (await queue.subscribe("doubler").open()).run(double)
    caller = await client.caller("till", reply=reply)
    replies = await asyncio.gather(*(caller.call(queue, number, timeout=20.0) for number in range(50)))
    assert [reply.value for reply in replies] == [number * 2 for number in range(50)]
    count = feed.count
    assert count(Kind.SENT, Place("rabbitmq", name, "till")) == 50
    assert count(Kind.DELIVERED, Place("rabbitmq", name, "doubler")) == 50
    assert count(Kind.CONFIRMED, Place("rabbitmq", f"{name}.replies", "doubler")) == 50
    assert count(Kind.DELIVERED, Place("rabbitmq", f"{name}.replies", "till")) == 50


@WAYS
async def test_a_queue_that_is_not_there_says_so_at_once(
    client: RabbitmqClient, name: str, reply: Any
) -> None:
    caller = await client.caller(reply=reply)
    with pytest.raises(NoResponders, match=name):
        await caller.call(name, 1, timeout=20.0)


@WAYS
async def test_a_queue_nobody_reads_from_gives_no_reply_and_the_request_expires(
    client: RabbitmqClient, name: str, reply: Any
) -> None:
    queue = await client.queue(name, dead_letter=True)
    caller = await client.caller(reply=reply)
    with pytest.raises(NoReply, match=name) as caught:
        await caller.call(queue, 1, timeout=0.1)
    assert not isinstance(caught.value, NoResponders)
    assert queue.dead_letters is not None
    async with queue.dead_letters.subscribe("doctor") as dead:
        [letter] = await take(dead, 1)
    assert letter.reason == "expired"


@WAYS
async def test_a_reply_that_comes_too_late_is_counted(client: RabbitmqClient, name: str, reply: Any) -> None:
    queue = await client.queue(name)
    caller = await client.caller(reply=reply)
    async with queue.subscribe("slow") as deliveries:
        taking = asyncio.create_task(take(deliveries, 1))
        with pytest.raises(NoReply):
            await caller.call(queue, 1, timeout=0.3)
        [delivery] = await taking
        assert await delivery.reply(2) is not False
        await until(lambda: caller.late == 1)


async def test_a_caller_with_a_reply_queue_hears_again_after_the_broker_was_killed(
    client: RabbitmqClient, name: str, server: Any
) -> None:
    queue = await client.queue(name)
    (await queue.subscribe("doubler").open()).run(double)
    caller = await client.caller(reply="queue")
    assert (await caller.call(queue, 1, timeout=20.0)).value == 2
    await server.kill()
    await server.restart()
    await queue.ready()
    assert (await caller.call(queue, 2, timeout=20.0)).value == 4


async def test_a_caller_with_direct_replies_hears_again_after_the_broker_was_killed(
    client: RabbitmqClient, name: str, server: Any, feed: Feed
) -> None:
    queue = await client.queue(name)
    (await queue.subscribe("doubler").open()).run(double)
    caller = await client.caller(reply="direct")
    assert (await caller.call(queue, 1, timeout=20.0)).value == 2
    await server.kill()
    await server.restart()
    await queue.ready()
    # RabbitMQ confirms a direct reply and may drop it all the same: no more than that may be wrong.
    asked = 0

    async def ask() -> int | None:
        nonlocal asked
        asked += 1
        with suppress(NoReply):
            return int((await caller.call(queue, 2, timeout=5.0)).value)
        return None

    assert await until_told(ask, lambda answer: answer is not None) == 4
    replies = Place("rabbitmq", f"{name}.replies", "doubler")
    # The caller may have the reply before its sender has the broker's confirm.
    await until(lambda: feed.count(Kind.CONFIRMED, replies) >= 1 + asked)


async def test_a_reply_to_somebody_who_has_gone_is_told(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    async with RabbitmqClient(client.url) as other:
        caller = await other.caller(reply="queue")
        asking = asyncio.create_task(caller.call(name, 1, timeout=20.0))
        async with queue.subscribe("doubler") as deliveries:
            [delivery] = await take(deliveries, 1)
            await caller.close()
            assert await delivery.reply(2) is False
        asking.cancel()


async def test_a_message_that_asks_for_no_reply_says_so(client: RabbitmqClient, name: str) -> None:
    queue = await client.queue(name)
    await queue.publish("order")
    async with queue.subscribe("billing") as deliveries:
        [delivery] = await take(deliveries, 1)
        with pytest.raises(BrokerError, match="asks for no reply"):
            await delivery.reply("thanks")


async def test_a_caller_that_was_closed_says_so(client: RabbitmqClient, name: str) -> None:
    async with await client.caller() as caller:
        pass
    with pytest.raises(ChannelClosed):
        await caller.call(name, 1)


async def test_everybody_at_a_fanout_exchange_is_asked_and_each_reply_is_heard(
    client: RabbitmqClient, name: str
) -> None:
    everybody = await client.exchange(name, "fanout")
    for factor in (2, 3):
        queue = await client.queue(f"{name}.{factor}", bind=(everybody, ""), exclusive=True)

        async def multiply(delivery: QueueDelivery, factor: int = factor) -> None:
            await delivery.reply(delivery.value * factor)

        (await queue.subscribe(f"by {factor}").open()).run(multiply)
    caller = await client.caller()
    async with asyncio.timeout(20.0), aclosing(caller.call_all(everybody, 5)) as replies:
        assert {(await anext(replies)).value, (await anext(replies)).value} == {10, 15}


async def test_a_fanout_exchange_without_queues_says_so_at_once(client: RabbitmqClient, name: str) -> None:
    caller = await client.caller()
    with pytest.raises(NoResponders, match=name):
        await anext(caller.call_all(await client.exchange(name, "fanout"), 5))
