"""Publish and subscribe on real brokers: a copy for everybody who wants it, and what becomes of the rest."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from labkit.errors import Unsupported
from labkit.patterns.publish_subscribe import RECIPES, Orders, Subscriber, open_shops
from tests.support import unique

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEEPING = {"rabbitmq", "kafka"}
"""Where a subscriber who was there before gets what was published while it was away."""

numbers = count(1)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(client: Any) -> AsyncIterator[Orders[Any]]:
    shop = open_shops({client.broker: client})[client.broker]
    yield shop
    await shop.close()


async def publish(shop: Orders[Any], *events: str) -> list[int]:
    """Publish orders to which this happened, and return their numbers, which no other test has."""
    orders = [next(numbers) for _ in events]
    for number, event in zip(orders, events, strict=True):
        await shop.publish(event, {"order": number})
    return orders


async def got(subscriber: Subscriber, last: int) -> list[int]:
    """Return what a subscriber has once this order has come; the brokers keep the order of the others."""
    return await subscriber.until_order(last)


async def test_every_subscriber_gets_a_copy_of_each_order_in_order(shop: Orders[Any]) -> None:
    subscribers = [await shop.subscribe(unique(name)) for name in ("billing", "shipping", "audit")]
    orders = await publish(shop, *["created"] * 20)
    assert [await got(one, orders[-1]) for one in subscribers] == [orders] * 3


async def test_a_late_subscriber_gets_what_comes_and_not_what_was(shop: Orders[Any]) -> None:
    early = await shop.subscribe(unique("early"))
    before = await publish(shop, "created", "created")
    await got(early, before[-1])
    late = await shop.subscribe(unique("late"))
    after = await publish(shop, "created", "created")
    assert await got(late, after[-1]) == after
    assert await got(early, after[-1]) == before + after


async def test_a_subscriber_gets_only_the_events_it_wants(shop: Orders[Any], broker: str) -> None:
    picky = await shop.subscribe(unique("support"), "cancelled")
    all_of_it = await shop.subscribe(unique("audit"))
    orders = await publish(shop, "created", "cancelled", "paid", "cancelled")
    assert await got(picky, orders[-1]) == [orders[1], orders[3]]
    assert await got(all_of_it, orders[-1]) == orders
    # Where the recipe filters, the others were delivered, too; where the broker does, they were not.
    assert picky.skipped == (2 if RECIPES[broker].built else 0)


async def test_who_was_away_gets_what_it_missed_or_the_broker_does_not_keep_it(
    shop: Orders[Any], broker: str
) -> None:
    name = unique("billing")
    billing = await shop.subscribe(name)
    audit = await shop.subscribe(unique("audit"))
    [before] = await publish(shop, "created")
    await got(billing, before)
    await shop.leave(name)
    missed = await publish(shop, "created", "created", "created")
    await got(audit, missed[-1])
    billing = await shop.subscribe(name)
    [after] = await publish(shop, "created")
    expected = [before, *missed, after] if broker in KEEPING else [before, after]
    assert await got(billing, after) == expected


async def test_a_newcomer_reads_from_the_start_or_is_told_why_not(shop: Orders[Any], broker: str) -> None:
    audit = await shop.subscribe(unique("audit"))
    orders = await publish(shop, "created", "paid")
    await got(audit, orders[-1])
    if shop.no_replay:
        with pytest.raises(Unsupported, match=re.escape(shop.no_replay)):
            await shop.subscribe_from_start(unique("fraud"))
        return
    fraud = await shop.subscribe_from_start(unique("fraud"))
    assert set(orders) <= set(await got(fraud, orders[-1]))
