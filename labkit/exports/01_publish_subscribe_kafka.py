"""Publish and subscribe with Kafka: one event, many readers.

  - fan-out: billing, shipping and audit each get their own copy of every event;
  - a filter: support keeps the cancelled orders only; Kafka sends it all of them, and it skips the others;
  - a late subscriber gets what comes from now on, or everything from the log if it asks for that.

Install:  pip install aiokafka
Run:      python 01_publish_subscribe_kafka.py 127.0.0.1:9092
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

DEFAULT_ADDRESS = "127.0.0.1:9092"
DEADLINE = 10.0
SERVICES = ("billing", "shipping", "audit")
SUBSCRIBERS = (*SERVICES, "support", "late", "replay")
EVENTS = (("placed", "order 1"), ("placed", "order 2"), ("cancelled", "order 1"), ("placed", "order 3"))
LAST_EVENT = ("cancelled", "order 2")  # of a kind that everybody reads, so it marks the end for everybody
Event = tuple[str, str]
Inbox = asyncio.Queue[Event]
Inboxes = dict[str, Inbox]


async def publish(producer: AIOKafkaProducer, topic: str, kind: str, order: str) -> None:
    """Publish one event. The publisher does not know who reads it."""
    await producer.send_and_wait(topic, order.encode(), headers=[("kind", kind.encode())])


async def subscribe(
    stack: AsyncExitStack, address: str, topic: str, inboxes: Inboxes, name: str, kind: str, start: str
) -> None:
    """Put every event of this kind into the subscriber's inbox. The kind "*" means all of them."""
    group = f"{topic}.{name}"  # of its own: in a shared group, subscribers would share the events out
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, group_id=group, auto_offset_reset=start, enable_auto_commit=False
    )
    stack.push_async_callback(consumer.stop)
    await consumer.start()
    # "latest" means the end of the log when the consumer looks, so it has to look now.
    await consumer.position(TopicPartition(topic, 0))
    stack.callback(asyncio.create_task(read(consumer, kind, inboxes[name])).cancel)


async def read(consumer: AIOKafkaConsumer, kind: str, inbox: Inbox) -> None:
    """Keep what comes, until this task is cancelled."""
    async for message in consumer:
        event = (dict(message.headers)["kind"].decode(), message.value.decode())
        if kind in ("*", event[0]):
            inbox.put_nowait(event)
        # A skipped event is done with, too: else it would come again after a restart.
        await consumer.commit()


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


async def run(stack: AsyncExitStack, producer: AIOKafkaProducer, address: str, topic: str) -> None:
    """Publish to the early subscribers, then let two late ones in."""
    inboxes: Inboxes = {name: asyncio.Queue() for name in SUBSCRIBERS}
    join = partial(subscribe, stack, address, topic, inboxes)
    early = {**dict.fromkeys(SERVICES, "*"), "support": "cancelled"}
    # Together, because a server may let each new group wait some seconds for more members.
    await asyncio.gather(*(join(name, kind, "earliest") for name, kind in early.items()))
    for event in EVENTS:
        await publish(producer, topic, *event)
    await asyncio.gather(join("late", "*", "latest"), join("replay", "*", "earliest"))
    # When this one has come, an older one would have come before it: no need to wait for silence.
    await publish(producer, topic, *LAST_EVENT)
    await report(inboxes)


async def report(inboxes: Inboxes) -> None:
    """Print and check what everybody got."""
    all_events = [*EVENTS, LAST_EVENT]
    for name in (*SERVICES, "replay"):
        await check(name, inboxes[name], all_events)
    await check("support", inboxes["support"], [event for event in all_events if event[0] == "cancelled"])
    await check("late", inboxes["late"], [LAST_EVENT])
    print("Each service got its own copy. A late subscriber gets the old events only if it asks for them.")


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    topic = f"orders-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        stack.push_async_callback(admin.close)
        await admin.start()
        # The stack runs backwards: the consumers stop before their topic goes. The places of their groups go
        # with it, and Kafka itself removes an empty group.
        stack.push_async_callback(admin.delete_topics, [topic])
        # One partition, because Kafka keeps the order of events only inside a partition.
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=address))
        await run(stack, producer, address, topic)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_KAFKA_URL", DEFAULT_ADDRESS)
    # A new server, or topic, says "not available" for a moment; the client asks again, and logs that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(given.removeprefix("kafka://")))
