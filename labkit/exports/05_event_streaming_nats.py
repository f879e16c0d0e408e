"""Event streaming with NATS JetStream: a log that is kept, and read as often as you like.

What it shows:
  - ten events of an online shop, appended to a stream: reading takes nothing away;
  - replay from the start, and from a moment: the server finds the place;
  - two readers, each with its own place: billing stops after four events, and later goes on with the fifth;
  - a view, the state of each order, rebuilt from the log: the same each time;
  - compaction: a stream that keeps the last event of each subject only.

Install:  pip install nats-py
Run:      python 05_event_streaming_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamConfig

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 10.0
Event = tuple[str, str]
BEFORE: list[Event] = [("1", "placed"), ("2", "placed"), ("1", "paid"), ("3", "placed"), ("2", "paid")]
AFTER: list[Event] = [("3", "cancelled"), ("1", "shipped"), ("4", "placed"), ("2", "shipped"), ("4", "paid")]
ALL = [*BEFORE, *AFTER]


async def append(js: JetStreamContext, name: str, events: Sequence[Event]) -> None:
    """Append events: the order is the last word of the subject. Each is confirmed before the next."""
    for order, step in events:
        await js.publish(f"{name}.{order}", step.encode())


async def read(js: JetStreamContext, name: str, reader: ConsumerConfig, at_most: int = 100) -> list[Event]:
    """Read from the reader's place to the end. With a durable name, the server keeps that place."""
    made = await js.add_consumer(name, reader)  # It is there already? Then this is how to find it.
    count = min(made.num_pending or 0, at_most)
    subscription = await js.pull_subscribe_bind(made.name, name)
    events: list[Event] = []
    while len(events) < count:
        for message in await subscription.fetch(count - len(events), timeout=DEADLINE):
            events.append((message.subject.rpartition(".")[2], message.data.decode()))
            await message.ack_sync()  # The place moves on, and we know it.
    await subscription.unsubscribe()
    return events


def view_of(events: Sequence[Event]) -> dict[str, str]:
    """Return the state of each order: its last event."""
    return dict(events)


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>26}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(js: JetStreamContext, name: str) -> None:
    """Append, and read in each way."""
    await append(js, name, BEFORE)
    # The server's own clock: what it wrote on the last event, and a millisecond more.
    moment = (await js.get_msg(name, len(BEFORE))).time
    assert moment is not None
    await asyncio.sleep(0.01)
    await append(js, name, AFTER)

    audit = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    log = await read(js, name, audit)
    show("from the start", f"{len(log)} events, in order: {log == ALL}", f"{len(ALL)} events, in order: True")
    later = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=moment + timedelta(milliseconds=1)
    )
    show("from a moment", words(await read(js, name, later)), words(AFTER))

    billing = ConsumerConfig("billing", deliver_policy=DeliverPolicy.ALL)
    show("billing reads four", words(await read(js, name, billing, at_most=4)), words(ALL[:4]))
    show("stock reads on its own", len(await read(js, name, ConsumerConfig("stock"))), len(ALL))
    show("billing goes on", words(await read(js, name, billing)), words(ALL[4:]))

    view = view_of(log)
    show("a view of the log", view, {"1": "shipped", "2": "shipped", "3": "cancelled", "4": "paid"})
    show("the view, built anew", view_of(await read(js, name, audit)), view)
    await compact(js, name)


async def compact(js: JetStreamContext, name: str) -> None:
    """Fill a stream that keeps one event of each subject, and read it."""
    last = f"{name}-last"
    await js.add_stream(StreamConfig(last, subjects=[f"{last}.*"], max_msgs_per_subject=1))
    try:
        await append(js, last, ALL)
        kept = await read(js, last, ConsumerConfig(deliver_policy=DeliverPolicy.ALL))
        show("kept by the compacted one", view_of(kept), view_of(ALL))
        show("events in it", len(kept), 4)
    finally:
        await js.delete_stream(last)


def words(events: Sequence[Event]) -> str:
    """Return events as a line of text."""
    return ", ".join(f"{order} {step}" for order, step in events)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"orders-{uuid4().hex[:8]}"
    connection = Client()
    try:
        # By default, the first connect would try a wrong address for about two minutes.
        await connection.connect(address, max_reconnect_attempts=1, reconnect_time_wait=1)
        js = connection.jetstream()
        await js.add_stream(StreamConfig(name, subjects=[f"{name}.*"]))
        try:
            await run(js, name)
        finally:
            await js.delete_stream(name)  # Its readers' places go with it.
    finally:
        await connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
