"""Publish and subscribe with NATS: one event, many readers.

  - fan-out: billing, shipping and audit each get their own copy of every event;
  - a filter: support gets the cancelled orders only, and the server does the filtering;
  - a late subscriber gets what comes from now on, and nothing from before.

Install:  pip install nats-py
Run:      python 01_publish_subscribe_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 10.0
SERVICES = ("billing", "shipping", "audit")
EVENTS = (("placed", "order 1"), ("placed", "order 2"), ("cancelled", "order 1"), ("placed", "order 3"))
LAST_EVENT = ("cancelled", "order 2")  # of a kind that everybody reads, so it marks the end for everybody
Event = tuple[str, str]
Inbox = asyncio.Queue[Event]


async def publish(connection: Client, topic: str, kind: str, order: str) -> None:
    """Publish one event. The publisher does not know who reads it."""
    await connection.publish(f"{topic}.{kind}", order.encode())
    # Publishing waits for nothing; after the flush, the server has the event.
    await connection.flush()


async def subscribe(connection: Client, topic: str, kind: str, inbox: Inbox) -> None:
    """Put every event of this kind into the inbox. The kind "*" means all of them."""

    async def keep(message: Msg) -> None:
        inbox.put_nowait((message.subject.rsplit(".", 1)[1], message.data.decode()))

    await connection.subscribe(f"{topic}.{kind}", cb=keep)
    # Without the flush, an event could reach the server before the subscription does.
    await connection.flush()


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


async def run(connection: Client, topic: str) -> None:
    """Publish to the early subscribers, then let a late one in."""
    inboxes: dict[str, Inbox] = {name: asyncio.Queue() for name in (*SERVICES, "support", "late")}
    for name in SERVICES:
        await subscribe(connection, topic, "*", inboxes[name])
    await subscribe(connection, topic, "cancelled", inboxes["support"])
    for event in EVENTS:
        await publish(connection, topic, *event)
    await subscribe(connection, topic, "*", inboxes["late"])
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
    connection = Client()
    try:
        # By default, the first connect would try a wrong address for about two minutes.
        await connection.connect(address, max_reconnect_attempts=1, reconnect_time_wait=1)
        await run(connection, f"orders-{uuid4().hex[:8]}")
    finally:
        # Subscriptions live as long as the connection, and NATS keeps nothing else here.
        await connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
