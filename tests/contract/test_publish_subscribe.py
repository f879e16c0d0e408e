"""What every channel must show when somebody publishes and others subscribe."""

from __future__ import annotations

import asyncio

import pytest

from labkit.brokers.delivery import Delivery
from labkit.errors import ChannelClosed
from labkit.events import Kind, Place
from tests.contract.kinds import ChannelKind
from tests.support import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAST = -1
"""Published at the end. Order is kept, so when it has arrived, all that will arrive has."""


async def test_every_subscriber_gets_every_message_once_and_in_order(kind: ChannelKind) -> None:
    received = [(await kind.subscribe(name))[1] for name in ("billing", "shipping", "audit")]
    for number in range(200):
        await kind.publish(number)
    await kind.publish(LAST)
    await until(lambda: all(LAST in numbers for numbers in received))
    assert received == [[*range(200), LAST]] * 3


async def test_a_late_subscriber_gets_only_what_is_published_after_it_came(kind: ChannelKind) -> None:
    for number in range(5):
        await kind.publish(number)
    _, received = await kind.subscribe("audit")
    await kind.publish(5)
    await kind.publish(LAST)
    await until(lambda: LAST in received)
    assert received == [5, LAST]


async def test_a_subscriber_that_comes_back_finds_what_the_broker_claims_to_keep(kind: ChannelKind) -> None:
    subscription, received = await kind.subscribe("billing")
    await kind.publish(0)
    await until(lambda: received == [0])
    await subscription.close()
    await kind.publish(1)
    _, received_again = await kind.subscribe("billing")
    await kind.publish(LAST)
    await until(lambda: LAST in received_again)
    assert received_again == ([1, LAST] if kind.keeps_for_the_absent else [LAST])


async def test_a_subscriber_that_left_gets_nothing_more(kind: ChannelKind) -> None:
    leaving, received = await kind.subscribe("billing")
    _, staying = await kind.subscribe("audit")
    await kind.publish(0)
    await until(lambda: received == staying == [0])
    await leaving.close()
    await kind.publish(LAST)
    await until(lambda: LAST in staying)
    assert received == [0]


async def test_the_feed_counts_what_really_happened(kind: ChannelKind) -> None:
    subscriptions = {name: await kind.subscribe(name) for name in ("billing", "audit")}
    for number in range(20):
        await kind.publish(number)
    await until(lambda: all(len(received) == 20 for _, received in subscriptions.values()))
    count = kind.feed.count
    assert count(Kind.SENT, kind.publisher) == 20
    assert count(Kind.CONFIRMED, kind.publisher) == (20 if kind.confirms else 0)
    assert count(Kind.REFUSED, kind.publisher) == 0
    for subscription, received in subscriptions.values():
        assert count(Kind.DELIVERED, subscription.place) == len(received)
        assert count(Kind.REDELIVERED, subscription.place) == 0


async def test_the_feed_shows_the_message_that_arrived(kind: ChannelKind) -> None:
    subscription, received = await kind.subscribe("billing")
    await kind.publish(17)
    await until(lambda: received)
    delivered = [event for event in kind.feed.take_sample() if event.kind is Kind.DELIVERED]
    assert [(event.place, event.message.value) for event in delivered] == [(subscription.place, 17)]


async def test_a_place_names_broker_channel_and_subscriber(kind: ChannelKind) -> None:
    subscription = await kind.subscription("billing")
    assert subscription.place == Place(kind.broker, subscription.channel.name, "billing")


async def test_deliveries_can_be_taken_one_by_one(kind: ChannelKind) -> None:
    async with await kind.subscription("billing") as deliveries:
        for number in range(3):
            await kind.publish(number)
        taken: list[Delivery] = []
        async for delivery in deliveries:
            taken.append(delivery)
            if len(taken) == 3:
                break
    assert [delivery.value for delivery in taken] == [0, 1, 2]
    assert not any(delivery.redelivered for delivery in taken)
    assert all(delivery.native is not None for delivery in taken)


async def test_waiting_for_a_delivery_ends_when_the_subscription_is_closed(kind: ChannelKind) -> None:
    subscription = await (await kind.subscription("billing")).open()

    async def take_all() -> list[Delivery]:
        return [delivery async for delivery in subscription]

    waiting = asyncio.create_task(take_all())
    await asyncio.sleep(0)
    await subscription.close()
    async with asyncio.timeout(10):
        assert await waiting == []


async def test_an_error_in_a_handler_is_raised_again_on_close(kind: ChannelKind) -> None:
    def fail(delivery: Delivery) -> None:
        raise ZeroDivisionError(f"cannot handle {delivery.value}")

    subscription = (await (await kind.subscription("billing")).open()).run(fail)
    await kind.publish(1)
    await until(lambda: subscription.error)
    with pytest.raises(ZeroDivisionError, match="cannot handle 1"):
        await subscription.close()


async def test_a_handler_given_before_the_subscription_is_open_gets_what_comes(kind: ChannelKind) -> None:
    received: list[int] = []
    subscription = await kind.subscription("billing")
    async with subscription.run(lambda delivery: received.append(delivery.value)):
        await kind.publish(1)
        await until(lambda: received == [1])


async def test_closing_the_client_closes_what_is_open_and_raises_a_handlers_error(kind: ChannelKind) -> None:
    async def fail(delivery: Delivery) -> None:
        raise ZeroDivisionError

    failing = (await (await kind.subscription("billing")).open()).run(fail)
    healthy, _ = await kind.subscribe("audit")
    await kind.publish(1)
    await until(lambda: failing.error)
    with pytest.raises(ZeroDivisionError):
        await kind.client.close()
    assert not failing.is_open
    assert not healthy.is_open


async def test_a_closed_client_says_so(kind: ChannelKind) -> None:
    await kind.client.close()
    with pytest.raises(ChannelClosed):
        await kind.publish(1)


async def test_an_unopened_subscription_says_so(kind: ChannelKind) -> None:
    subscription = await kind.subscription("billing")
    with pytest.raises(ChannelClosed, match="billing"):
        await anext(aiter(subscription))
