"""Event streaming with RabbitMQ: a log that is kept, and read as often as you like.

What it shows:
  - ten events of an online shop, appended to a stream: reading takes nothing away;
  - replay from the start, and from a moment. The server finds the place to the second, and begins with a
    whole chunk of events: what is too early is skipped here;
  - two readers, each with its own place: billing stops after four events, and later goes on with the fifth.
    Over AMQP 0.9.1 a stream keeps no place for anybody, so a queue of length one keeps it (built here);
  - a view, the state of each order, rebuilt from the log: the same each time.

RabbitMQ cannot compact a stream: it drops whole segments, by size or by age.

Install:  pip install aio-pika
Run:      python 05_event_streaming_rabbitmq.py amqp://guest:guest@127.0.0.1:5672/
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

DEFAULT_ADDRESS = "amqp://guest:guest@127.0.0.1:5672/"
DEADLINE = 10.0
Event = tuple[str, str]
BEFORE: list[Event] = [("1", "placed"), ("2", "placed"), ("1", "paid"), ("3", "placed"), ("2", "paid")]
AFTER: list[Event] = [("3", "cancelled"), ("1", "shipped"), ("4", "placed"), ("2", "shipped"), ("4", "paid")]
ALL = [*BEFORE, *AFTER]


async def append(channel: AbstractChannel, name: str, events: Sequence[Event]) -> None:
    """Append events. Each says when it was appended: a stream does not tell that of a single event."""
    for order, step in events:
        message = aio_pika.Message(step.encode(), headers={"order": order, "at": f"{time.time():.6f}"})
        await channel.default_exchange.publish(message, routing_key=name)


def event_in(message: AbstractIncomingMessage) -> Event:
    """Return the order and its step."""
    return str(message.headers["order"]), message.body.decode()


async def read(connection: AbstractConnection, name: str, last: Event, start: Any = "first") -> list[Any]:
    """Read from a place ("first", an offset or a time) to this event: no stream tells where it ends."""
    found: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    async with connection.channel() as channel, asyncio.timeout(DEADLINE):
        await channel.set_qos(prefetch_count=100)  # A stream insists on it.
        stream = await channel.get_queue(name)
        await stream.consume(found.put, arguments={"x-stream-offset": start})
        messages = [await found.get()]
        while event_in(messages[-1]) != last:
            messages.append(await found.get())
        return messages


async def read_on(connection: AbstractConnection, name: str, last: Event, reader: str) -> list[Event]:
    """Read from the reader's place to this event, and move the place on."""
    async with connection.channel() as channel:
        place = await channel.get_queue(f"{name}.{reader}")
        kept = await place.get(fail=False)
        messages = await read(connection, name, last, int(kept.body) if kept else "first")
        offset = int(messages[-1].headers["x-stream-offset"]) + 1
        await channel.default_exchange.publish(aio_pika.Message(str(offset).encode()), routing_key=place.name)
        if kept:
            await kept.ack()  # Now that the new place is there. After a crash, the old one is put back.
    return [event_in(message) for message in messages]


def view_of(events: Sequence[Event]) -> dict[str, str]:
    """Return the state of each order: its last event."""
    return dict(events)


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(connection: AbstractConnection, channel: AbstractChannel, name: str) -> None:
    """Append, and read in each way."""
    await append(channel, name, BEFORE)
    await asyncio.sleep(0.01)
    moment = time.time()
    await append(channel, name, AFTER)

    log = [event_in(message) for message in await read(connection, name, ALL[-1])]
    show("from the start", f"{len(log)} events, in order: {log == ALL}", f"{len(ALL)} events, in order: True")
    found = await read(connection, name, ALL[-1], datetime.fromtimestamp(int(moment), UTC))
    late = [event_in(message) for message in found if float(message.headers["at"]) >= moment]
    show("from a moment", words(late), words(AFTER))

    show("billing reads four", words(await read_on(connection, name, ALL[3], "billing")), words(ALL[:4]))
    show("stock reads on its own", len(await read_on(connection, name, ALL[-1], "stock")), len(ALL))
    show("billing goes on", words(await read_on(connection, name, ALL[-1], "billing")), words(ALL[4:]))

    view = view_of(log)
    show("a view of the log", view, {"1": "shipped", "2": "shipped", "3": "cancelled", "4": "paid"})
    again = [event_in(message) for message in await read(connection, name, ALL[-1])]
    show("the view, built anew", view_of(again), view)


def words(events: Sequence[Event]) -> str:
    """Return events as a line of text."""
    return ", ".join(f"{order} {step}" for order, step in events)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"orders-{uuid4().hex[:8]}"
    queues: dict[str, dict[str, Any]] = {name: {"x-queue-type": "stream"}}
    for reader in ("billing", "stock"):
        queues[f"{name}.{reader}"] = {"x-max-length": 1}
    async with await aio_pika.connect(address) as connection, AsyncExitStack() as stack:
        channel = await connection.channel()
        for queue, options in queues.items():
            made = await channel.declare_queue(queue, durable=True, arguments=options)
            stack.push_async_callback(made.delete, if_unused=False, if_empty=False)
        await run(connection, channel, name)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_RABBITMQ_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
