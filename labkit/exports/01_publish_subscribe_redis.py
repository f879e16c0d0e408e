"""Publish and subscribe with Redis: one event, many readers.

  - fan-out: billing, shipping and audit each get their own copy of every event;
  - a filter: support gets the cancelled orders only, and the server does the filtering;
  - a late subscriber gets what comes from now on, and nothing from before.

Install:  pip install redis
Run:      python 01_publish_subscribe_redis.py redis://127.0.0.1:6379
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

DEFAULT_ADDRESS = "redis://127.0.0.1:6379"
DEADLINE = 10.0
SERVICES = ("billing", "shipping", "audit")
EVENTS = (("placed", "order 1"), ("placed", "order 2"), ("cancelled", "order 1"), ("placed", "order 3"))
LAST_EVENT = ("cancelled", "order 2")  # of a kind that everybody reads, so it marks the end for everybody
Event = tuple[str, str]
Inbox = asyncio.Queue[Event]


async def publish(connection: Redis, topic: str, kind: str, order: str) -> None:
    """Publish one event. The publisher does not know who reads it."""
    await connection.publish(f"{topic}.{kind}", order)


async def subscribe(stack: AsyncExitStack, connection: Redis, topic: str, kind: str, inbox: Inbox) -> None:
    """Put every event of this kind into the inbox. The kind "*" means all of them."""
    subscription = await stack.enter_async_context(connection.pubsub())
    await subscription.psubscribe(f"{topic}.{kind}")
    # The server's answer says that the subscription is there; before it, events could pass it by.
    async with asyncio.timeout(DEADLINE):
        await subscription.get_message(timeout=None)
    stack.callback(asyncio.create_task(read(subscription, inbox)).cancel)


async def read(subscription: PubSub, inbox: Inbox) -> None:
    """Keep what comes, until this task is cancelled."""
    async for message in subscription.listen():
        inbox.put_nowait((message["channel"].rsplit(".", 1)[1], message["data"]))


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


async def run(stack: AsyncExitStack, connection: Redis, topic: str) -> None:
    """Publish to the early subscribers, then let a late one in."""
    inboxes: dict[str, Inbox] = {name: asyncio.Queue() for name in (*SERVICES, "support", "late")}
    for name in SERVICES:
        await subscribe(stack, connection, topic, "*", inboxes[name])
    await subscribe(stack, connection, topic, "cancelled", inboxes["support"])
    for event in EVENTS:
        await publish(connection, topic, *event)
    await subscribe(stack, connection, topic, "*", inboxes["late"])
    # When this one has come, an older one would have come before it: no need to wait for silence.
    await publish(connection, topic, *LAST_EVENT)
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
    # Without socket_timeout=None, a reader would fail when it has been quiet for a while.
    connection = Redis.from_url(address, decode_responses=True, socket_timeout=None)
    # Subscriptions live as long as their connections, and Redis keeps nothing else here.
    async with connection, AsyncExitStack() as stack:
        await run(stack, connection, f"orders-{uuid4().hex[:8]}")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_REDIS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
