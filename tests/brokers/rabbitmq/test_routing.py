"""Which queues get a copy: what each kind of exchange does with a key."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.brokers.rabbitmq.support import LAST, values_until_last

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("kind", "key", "fits"),
    [
        ("direct", "order.created", ["order.created"]),
        ("topic", "order.*", ["order.created", "order.paid"]),
        ("topic", "order.#", ["order.created", "order.paid", "order.paid.late"]),
        ("fanout", "whatever", ["order.created", "order.paid", "order.paid.late"]),
    ],
)
async def test_a_binding_key_says_what_a_queue_gets(
    client: RabbitmqClient, name: str, kind: Any, key: str, fits: list[str]
) -> None:
    exchange = await client.exchange(name, kind)
    queue = await client.queue(name, bind=(exchange, key))
    for routing_key in ("order.created", "order.paid", "order.paid.late"):
        await exchange.publish(routing_key, routing_key)
    await queue.publish(LAST)
    assert await values_until_last(queue.subscribe("billing")) == fits


@pytest.mark.parametrize(("match", "fits"), [("all", ["both"]), ("any", ["both", "one"])])
async def test_a_headers_exchange_looks_at_headers(
    client: RabbitmqClient, name: str, match: str, fits: list[str]
) -> None:
    exchange = await client.exchange(name, "headers")
    queue = await client.queue(name, bind=(exchange, {"x-match": match, "country": "fr", "express": "yes"}))
    await exchange.publish("both", headers={"country": "fr", "express": "yes"})
    await exchange.publish("one", headers={"country": "fr"})
    await exchange.publish("none", headers={"country": "de"})
    await queue.publish(LAST)
    assert await values_until_last(queue.subscribe("billing")) == fits


async def test_what_no_queue_wants_is_confirmed_and_dropped(client: RabbitmqClient, name: str) -> None:
    exchange = await client.exchange(name)
    assert await exchange.publish("order", "nobody") is None


async def test_a_mandatory_message_that_no_queue_wants_comes_back(
    client: RabbitmqClient, name: str, feed: Feed
) -> None:
    exchange = await client.exchange(name)
    await client.queue(name, bind=(exchange, "somebody"))
    assert await exchange.publish("order", "somebody", mandatory=True) is True
    assert await exchange.publish("order", "nobody", mandatory=True) is False
    shop = Place("rabbitmq", name, "shop")
    assert (feed.count(Kind.CONFIRMED, shop), feed.count(Kind.UNHEARD, shop)) == (2, 1)


async def test_a_stream_can_be_bound_to_an_exchange(client: RabbitmqClient, name: str) -> None:
    exchange = await client.exchange(name, "fanout")
    stream = await client.stream(f"{name}.log")
    await stream.bind(exchange, "")
    await exchange.publish("order")
    await stream.publish(LAST)
    assert await values_until_last(stream.subscribe("audit", start="first")) == ["order"]
