"""JetStream consumers: what is acknowledged is done with, and what is not comes again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.channels.consumer import Mode
from labkit.brokers.nats.channels.stream_delivery import StreamDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError, Conflict, NotFound, SettleFailed
from labkit.events import Kind
from labkit.feed import Feed
from tests.support import until, until_told

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.consumer import Consumer
    from labkit.brokers.nats.channels.stream import Stream
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

both_modes = pytest.mark.parametrize("mode", ["pull", "push"])


async def stream_of(client: NatsClient, name: str, count: int, **settings: object) -> Stream:
    """Return a stream that holds the numbers below ``count``."""
    stream = await client.stream(name, **settings)
    for number in range(count):
        await stream.publish(number)
    return stream


async def take(subscription: Subscription[StreamDelivery], count: int) -> list[StreamDelivery]:
    return [await anext(subscription) for _ in range(count)]


async def unacknowledged(consumer: Consumer) -> int:
    return (await consumer.info()).num_ack_pending or 0


async def until_all_is_settled(consumer: Consumer) -> None:
    """JetStream reads an acknowledgement some time after it was sent, and other questions sooner."""
    await until_told(lambda: unacknowledged(consumer), lambda count: not count)


@both_modes
async def test_what_is_acknowledged_does_not_come_again(client: NatsClient, name: str, mode: Mode) -> None:
    stream = await stream_of(client, name, 3)
    consumer = await stream.consumer("billing", mode=mode, ack_wait=0.2)
    async with consumer.subscribe() as billing:
        first, second, third = await take(billing, 3)
        await first.ack_sync()
        await third.ack_sync()
        (again,) = await take(billing, 1)
        assert (again.value, again.attempt, again.redelivered) == (1, 2, True)
        await again.ack_sync()
    assert not second.is_settled
    assert await unacknowledged(consumer) == 0


@both_modes
async def test_a_nak_brings_it_back_at_once(client: NatsClient, name: str, mode: Mode) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing", mode=mode)
    async with consumer.subscribe() as billing:
        attempts = []
        for _ in range(3):
            delivery = await anext(billing)
            attempts.append(delivery.attempt)
            await delivery.nak()
    assert attempts == [1, 2, 3]


async def test_a_nak_with_a_delay_lets_others_pass(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 3)).consumer("billing")
    order = []
    async with consumer.subscribe(batch=1) as billing:
        await (await anext(billing)).nak(delay=0.2)
        for _ in range(3):
            delivery = await anext(billing)
            order.append(delivery.value)
            await delivery.ack()
    assert order == [1, 2, 0]


async def test_a_term_is_final(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 1)
    consumer = await stream.consumer("billing", ack_wait=0.1)
    async with consumer.subscribe() as billing:
        await (await anext(billing)).term("no such customer")
        await stream.publish("fence")
        assert (await anext(billing)).value == "fence"


async def test_in_progress_buys_time(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 1)
    consumer = await stream.consumer("billing", ack_wait=1.0)
    async with consumer.subscribe() as billing:
        delivery = await anext(billing)
        ends = time.monotonic() + 2.0  # twice what it has without
        while time.monotonic() < ends:
            await delivery.in_progress()
            await asyncio.sleep(0.1)
        await delivery.ack_sync()
    info = await consumer.info()
    assert (info.num_redelivered, info.num_ack_pending) == (0, 0)
    assert info.delivered is not None
    assert info.delivered.consumer_seq == 1  # it was delivered once


async def test_max_deliver_is_an_end(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 1)
    consumer = await stream.consumer("billing", max_deliver=2)
    async with consumer.subscribe() as billing:
        for _ in range(2):
            await (await anext(billing)).nak()
        await stream.publish("fence")
        assert (await anext(billing)).value == "fence"


async def test_backoff_gives_the_times_one_by_one(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing", backoff=[0.1, 0.2], max_deliver=3)
    async with consumer.subscribe() as billing:
        assert [delivery.attempt for delivery in await take(billing, 3)] == [1, 2, 3]


async def test_async_with_acknowledges_and_gives_back_after_an_error(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing")
    async with consumer.subscribe() as billing:
        delivery = await anext(billing)
        with pytest.raises(ZeroDivisionError):
            async with delivery:
                raise ZeroDivisionError
        async with await anext(billing) as again:
            assert again.attempt == 2
        await until_all_is_settled(consumer)


async def test_a_delivery_that_is_settled_stays_so(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing")
    async with consumer.subscribe() as billing:
        async with await anext(billing) as delivery:
            await delivery.term()
        for call in (delivery.ack, delivery.nak, delivery.term, delivery.ack_sync):
            await call()
        await until_all_is_settled(consumer)


async def test_the_feed_counts_acknowledgements_and_redeliveries(
    client: NatsClient, name: str, feed: Feed
) -> None:
    consumer = await (await stream_of(client, name, 3)).consumer("billing")
    async with consumer.subscribe() as billing:
        first, second, third = await take(billing, 3)
        await first.ack()
        await second.ack_sync()
        await third.nak()
        await take(billing, 1)
    counts = [feed.count(kind, billing.place) for kind in (Kind.DELIVERED, Kind.REDELIVERED, Kind.SETTLED)]
    assert counts == [3, 1, 2]


async def test_a_delivery_knows_its_place_in_the_stream(client: NatsClient, name: str) -> None:
    before = time.time()
    consumer = await (await stream_of(client, name, 3)).consumer("billing")
    async with consumer.subscribe() as billing:
        deliveries = await take(billing, 3)
    assert [(one.sequence, one.remaining) for one in deliveries] == [(1, 2), (2, 1), (3, 0)]
    assert before - 1 < deliveries[0].timestamp <= deliveries[2].timestamp < time.time() + 1


@pytest.mark.parametrize("batch", [1, 7, 100])
async def test_a_batch_is_what_is_asked_for_at_a_time(client: NatsClient, name: str, batch: int) -> None:
    consumer = await (await stream_of(client, name, 30)).consumer("billing")
    async with consumer.subscribe(batch=batch) as billing:
        await anext(billing)
        assert await unacknowledged(consumer) == min(batch, 30)
        assert [delivery.value for delivery in await take(billing, 29)] == list(range(1, 30))


async def test_a_question_that_jetstream_does_not_take_is_an_error(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 0)).consumer("billing", max_waiting=1)
    async with consumer.subscribe() as waiting, consumer.subscribe("too many") as second:
        first = asyncio.ensure_future(anext(waiting))
        await asyncio.sleep(0)
        with pytest.raises(BrokerError, match="refuses to send too many"):
            await anext(second)
        first.cancel()


async def test_max_ack_pending_holds_back_the_rest(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 10)).consumer("billing", max_ack_pending=4, mode="push")
    async with consumer.subscribe() as billing:
        first = await take(billing, 4)
        info = await consumer.info()
        assert (info.num_ack_pending, info.num_pending) == (4, 6)
        for delivery in first:
            await delivery.ack()
        assert [delivery.value for delivery in await take(billing, 4)] == [4, 5, 6, 7]


@both_modes
async def test_the_subscribers_of_a_consumer_share(client: NatsClient, name: str, mode: Mode) -> None:
    stream = await stream_of(client, name, 0)
    consumer = await stream.consumer("workers", mode=mode, deliver_group="workers" if mode == "push" else "")
    received: dict[str, list[int]] = {"one": [], "two": []}
    for member in received:
        subscription = await consumer.subscribe(member, batch=1).open()
        subscription.run(lambda delivery, member=member: received[member].append(delivery.value))
    for number in range(100):
        await stream.publish(number)
    await until(lambda: len(received["one"]) + len(received["two"]) == 100)
    assert sorted(received["one"] + received["two"]) == list(range(100))
    assert received["one"]
    assert received["two"]


async def test_a_push_consumer_without_a_group_has_one_subscriber(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 0)).consumer("billing", mode="push")
    async with consumer.subscribe():
        with pytest.raises(Conflict, match="push consumer"):
            await consumer.subscribe("another").open()


@pytest.mark.parametrize(
    ("start", "expected"),
    [("all", [0, 1, 2]), ("last", [2]), ("new", []), (2, [1, 2]), ("last_per_subject", [2])],
)
async def test_a_consumer_begins_where_it_is_told(
    client: NatsClient, name: str, start: str | int, expected: list[int]
) -> None:
    stream = await stream_of(client, name, 3)
    consumer = await stream.consumer("billing", start=start)
    await stream.publish("fence")
    async with consumer.subscribe() as billing:
        values = [delivery.value for delivery in await take(billing, len(expected) + 1)]
    assert values == [*expected, "fence"]


async def test_a_filter_lets_through_what_fits(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, subjects=[f"{name}.*"])
    for event in ("created", "paid", "sent", "paid"):
        await stream.publish(event, subject=f"{name}.{event}")
    one = await stream.consumer("one", filter=f"{name}.paid")
    two = await stream.consumer("two", filter=[f"{name}.paid", f"{name}.sent"])
    async with one.subscribe() as first, two.subscribe() as second:
        assert [delivery.value for delivery in await take(first, 2)] == ["paid", "paid"]
        assert [delivery.value for delivery in await take(second, 3)] == ["paid", "sent", "paid"]
        assert first.filter == f"{name}.paid"


async def test_what_a_leaving_subscriber_never_saw_is_there_for_the_next(
    client: NatsClient, name: str
) -> None:
    consumer = await (await stream_of(client, name, 10)).consumer("billing")
    async with consumer.subscribe() as leaving:
        await (await anext(leaving)).ack()
    async with consumer.subscribe() as coming:
        values = [delivery.value for delivery in await take(coming, 9)]
    assert sorted(values) == list(range(1, 10))  # given back, they come out of turn


async def test_a_taking_that_was_given_up_loses_nothing(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 0)
    consumer = await stream.consumer("billing")
    async with consumer.subscribe() as billing:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(billing)
        await stream.publish(1)
        delivery = await anext(billing)
        assert (delivery.value, delivery.attempt) == (1, 1)


@both_modes
async def test_a_subscriber_of_what_is_not_there_is_told(client: NatsClient, name: str, mode: Mode) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing", mode=mode)
    await consumer.delete()
    with pytest.raises(NotFound):
        await consumer.subscribe().open()
    with pytest.raises(NotFound):
        await consumer.stream.find_consumer("billing")


async def test_a_subscriber_whose_consumer_is_deleted_is_told(
    client: NatsClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.nats.pulling.PULL_SECONDS", 0.2)
    consumer = await (await stream_of(client, name, 0)).consumer("billing")
    async with consumer.subscribe() as billing:
        waiting = asyncio.ensure_future(anext(billing))
        await asyncio.sleep(0)
        await consumer.delete()
        with pytest.raises(NotFound, match="no consumer 'billing'"):
            await waiting


async def test_a_consumer_can_be_changed_and_not_turned_round(client: NatsClient, name: str) -> None:
    stream = await stream_of(client, name, 0)
    await stream.consumer("billing", ack_wait=30.0)
    changed = await stream.consumer("billing", ack_wait=5.0)
    assert changed.config.ack_wait == 5.0
    with pytest.raises(Conflict, match="push"):
        await stream.consumer("billing", mode="push")


async def test_an_acknowledgement_that_nobody_can_hear_any_more_fails(client: NatsClient, name: str) -> None:
    consumer = await (await stream_of(client, name, 2)).consumer("billing")
    subscription = await consumer.subscribe().open()
    first, second = await take(subscription, 2)
    await consumer.delete()
    with pytest.raises(SettleFailed, match="message 1") as caught:
        await first.ack_sync()
    assert caught.value.remedy
    await client.native.close()
    with pytest.raises(SettleFailed, match="closed"):
        await second.ack()
    assert not second.is_settled


async def test_an_acknowledgement_over_a_lost_connection_arrives(
    client: NatsClient, server: Server, name: str
) -> None:
    consumer = await (await stream_of(client, name, 1)).consumer("billing")
    async with consumer.subscribe() as billing:
        delivery = await anext(billing)
        await asyncio.sleep(0.3)  # JetStream writes down ten times a second what it has delivered
        await server.kill()
        await until(lambda: not client.is_connected)
        await delivery.ack()
        await server.restart()
        await client.restored()
        await until_all_is_settled(consumer)


async def test_a_pull_that_the_broker_forgot_is_asked_anew(
    client: NatsClient, server: Server, name: str
) -> None:
    stream = await stream_of(client, name, 0)
    consumer = await stream.consumer("billing")
    async with consumer.subscribe() as billing:
        waiting = asyncio.ensure_future(anext(billing))
        await asyncio.sleep(0)
        await client.flush()
        await server.kill()
        await server.restart()
        await client.restored()
        await stream.publish(1)
        assert (await waiting).value == 1


async def test_two_programs_read_one_durable_consumer(client: NatsClient, server: Server, name: str) -> None:
    consumer = await (await stream_of(client, name, 2)).consumer("billing")
    async with consumer.subscribe(batch=1) as here:
        await (await anext(here)).ack_sync()
    async with NatsClient(server.url) as other:
        there = await (await other.find_stream(name)).find_consumer("billing")
        async with there.subscribe() as subscription:
            assert (await anext(subscription)).value == 1
