"""Event streaming with Kafka: a log that is kept, and read as often as you like.

What it shows:
  - ten events of an online shop, appended to a topic: reading takes nothing away. All events of an order have
    its key, so they are in one partition, in order (here there is only one partition);
  - replay from the start, and from a moment: the server finds the place;
  - two readers, each with its own place: billing stops after four events, and later goes on with the fifth;
  - a view, the state of each order, rebuilt from the log: the same each time.

A topic with cleanup.policy=compact keeps the last event of each key. It is done in the background, so it
cannot be shown in a second: lesson 05 waits for it.

Install:  pip install aiokafka
Run:      python 05_event_streaming_kafka.py 127.0.0.1:9092
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

DEFAULT_ADDRESS = "127.0.0.1:9092"
DEADLINE = 10.0
Event = tuple[str, str]
BEFORE: list[Event] = [("1", "placed"), ("2", "placed"), ("1", "paid"), ("3", "placed"), ("2", "paid")]
AFTER: list[Event] = [("3", "cancelled"), ("1", "shipped"), ("4", "placed"), ("2", "shipped"), ("4", "paid")]
ALL = [*BEFORE, *AFTER]


async def append(producer: AIOKafkaProducer, topic: str, events: Sequence[Event]) -> int:
    """Append events, and return the server's time of the last, in milliseconds."""
    for order, step in events:
        stored = await producer.send_and_wait(topic, step.encode(), key=order.encode())
    return int(stored.timestamp)


async def read(
    address: str, topic: str, reader: str | None = None, at_most: int = 100, since: int | None = None
) -> list[Event]:
    """Read from the reader's place, or from a time on, to the end. A group of one keeps the place."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=reader and f"{topic}-{reader}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(DEADLINE):
            return await read_to_the_end(consumer, at_most, since, keep_place=reader is not None)
    finally:
        await consumer.stop()


async def read_to_the_end(
    consumer: AIOKafkaConsumer, at_most: int, since: int | None, keep_place: bool
) -> list[Event]:
    """Read up to where the log ends now."""
    [partition] = consumer.assignment()
    if since is not None:
        found = await consumer.offsets_for_times({partition: since})
        consumer.seek(partition, found[partition].offset)
    end = (await consumer.end_offsets([partition]))[partition]
    events: list[Event] = []
    while len(events) < at_most and await consumer.position(partition) < end:
        event = await consumer.getone()
        events.append((event.key.decode(), event.value.decode()))
    if keep_place:
        await consumer.commit()  # The place moves on. After a crash, all since the last commit comes again.
    return events


def view_of(events: Sequence[Event]) -> dict[str, str]:
    """Return the state of each order: its last event."""
    return dict(events)


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(address: str, producer: AIOKafkaProducer, topic: str) -> None:
    """Append, and read in each way."""
    moment = await append(producer, topic, BEFORE) + 1  # The server's own clock.
    await asyncio.sleep(0.01)
    await append(producer, topic, AFTER)

    log = await read(address, topic)
    show("from the start", f"{len(log)} events, in order: {log == ALL}", f"{len(ALL)} events, in order: True")
    show("from a moment", words(await read(address, topic, since=moment)), words(AFTER))

    show("billing reads four", words(await read(address, topic, "billing", at_most=4)), words(ALL[:4]))
    show("stock reads on its own", len(await read(address, topic, "stock")), len(ALL))
    show("billing goes on", words(await read(address, topic, "billing")), words(ALL[4:]))

    view = view_of(log)
    show("a view of the log", view, {"1": "shipped", "2": "shipped", "3": "cancelled", "4": "paid"})
    show("the view, built anew", view_of(await read(address, topic)), view)


def words(events: Sequence[Event]) -> str:
    """Return events as a line of text."""
    return ", ".join(f"{order} {step}" for order, step in events)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    topic = f"orders-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        stack.push_async_callback(admin.close)
        await admin.start()
        # The readers' places go with the topic, and Kafka itself removes an empty group.
        stack.push_async_callback(admin.delete_topics, [topic])
        # The server stamps each event with its own time, so that a moment means the same to everybody.
        stamped = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=stamped)])
        producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=address))
        await run(address, producer, topic)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_KAFKA_URL", DEFAULT_ADDRESS)
    # A new server, or topic, says "not available" for a moment; the client asks again, and logs that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(given.removeprefix("kafka://")))
