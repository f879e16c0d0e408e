"""Publish and subscribe with RabbitMQ: one event, many readers.

  - fan-out: billing, shipping and audit each get their own copy of every event;
  - a filter: support gets the cancelled orders only, and the server does the filtering;
  - a late subscriber gets what comes from now on, and nothing from before.

Install:  pip install aio-pika
Run:      python 01_publish_subscribe_rabbitmq.py amqp://guest:guest@127.0.0.1:5672/
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

DEFAULT_ADDRESS = "amqp://guest:guest@127.0.0.1:5672/"
DEADLINE = 10.0
SERVICES = ("billing", "shipping", "audit")
EVENTS = (("placed", "order 1"), ("placed", "order 2"), ("cancelled", "order 1"), ("placed", "order 3"))
LAST_EVENT = ("cancelled", "order 2")  # of a kind that everybody reads, so it marks the end for everybody
Event = tuple[str, str]
Inbox = asyncio.Queue[Event]


async def publish(exchange: AbstractExchange, kind: str, order: str) -> None:
    """Publish one event. The publisher does not know who reads it."""
    # Support takes no placed orders, and that is no error: nobody has to take an event.
    await exchange.publish(aio_pika.Message(order.encode()), routing_key=kind, mandatory=False)


async def subscribe(
    stack: AsyncExitStack,
    channel: AbstractChannel,
    exchange: AbstractExchange,
    name: str,
    kind: str,
    inbox: Inbox,
) -> None:
    """Put every event of this kind into the inbox. The kind "*" means all of them."""

    async def keep(message: AbstractIncomingMessage) -> None:
        async with message.process():
            inbox.put_nowait((message.routing_key or "", message.body.decode()))

    # A queue of its own for each subscriber: with a shared one, they would share the events out.
    queue = await channel.declare_queue(f"{exchange.name}.{name}", durable=True)
    stack.push_async_callback(queue.delete, if_unused=False, if_empty=False)
    await queue.bind(exchange, routing_key=kind)
    reader = await queue.consume(keep)
    stack.push_async_callback(queue.cancel, reader)


async def check(name: str, inbox: Inbox, expected: list[Event]) -> None:
    """Print what a subscriber got, and stop with an error if it is not what it should be."""
    got: list[Event] = []
    # Past the deadline, what is missing shows in the comparison.
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            while LAST_EVENT not in got:
                got.append(await inbox.get())
    print(f"{name:>8}: " + (", ".join(f"{order} {kind}" for kind, order in got) or "nothing"))
    if got != expected:
        raise SystemExit(f"{name} should have got {expected}.")


async def run(stack: AsyncExitStack, channel: AbstractChannel, exchange: AbstractExchange) -> None:
    """Publish to the early subscribers, then let a late one in."""
    inboxes: dict[str, Inbox] = {name: asyncio.Queue() for name in (*SERVICES, "support", "late")}
    for name in SERVICES:
        await subscribe(stack, channel, exchange, name, "*", inboxes[name])
    await subscribe(stack, channel, exchange, "support", "cancelled", inboxes["support"])
    for event in EVENTS:
        await publish(exchange, *event)
    await subscribe(stack, channel, exchange, "late", "*", inboxes["late"])
    # When this one has come, an older one would have come before it: no need to wait for silence.
    await publish(exchange, *LAST_EVENT)
    await report(inboxes)


async def report(inboxes: dict[str, Inbox]) -> None:
    """Print and check what everybody got."""
    all_events = [*EVENTS, LAST_EVENT]
    for name in SERVICES:
        await check(name, inboxes[name], all_events)
    await check("support", inboxes["support"], [event for event in all_events if event[0] == "cancelled"])
    await check("late", inboxes["late"], [LAST_EVENT])
    print("Each service got its own copy. The late subscriber got nothing from before.")


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    connection = await aio_pika.connect(address)
    async with connection, AsyncExitStack() as stack:
        channel = await connection.channel()
        topic = f"orders-{uuid4().hex[:8]}"
        exchange = await channel.declare_exchange(topic, aio_pika.ExchangeType.TOPIC, durable=True)
        # The stack runs backwards: the queues go first, then the exchange, then the connection.
        stack.push_async_callback(exchange.delete)
        await run(stack, channel, exchange)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_RABBITMQ_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
