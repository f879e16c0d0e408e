"""Work queue with Kafka: each job is done by one of several workers.

What it shows:
  - ten orders to pack, in a topic with four partitions; each partition has one worker of the group, which
    moves the group's place in it past what is done;
  - Eve goes in the middle of her first job: the group shares her partitions out anew, and the next worker
    begins where the group's place is. Had she been killed, the group would wait for her session to time out;
  - one order fails each time: Kafka counts no attempts and has no dead letters. Both are built here.

Install:  pip install aiokafka
Run:      python 03_work_queue_kafka.py 127.0.0.1:9092
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

DEFAULT_ADDRESS = "127.0.0.1:9092"
DEADLINE = 30.0
ATTEMPTS = 3
PARTITIONS = 4  # No more workers than that have something to do.
ORDERS = [f"order {number}" for number in range(1, 11)]
POISON = "order 7"
PACKABLE = [order for order in ORDERS if order != POISON]


def join(address: str, topic: str) -> AIOKafkaConsumer:
    """Return a new member of the workers' group, not yet started."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=f"{topic}-workers",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )


def pack(order: str) -> None:
    """Do the work."""
    if order == POISON:
        raise ValueError("There is no box for it.")


async def work(jobs: AIOKafkaConsumer, producer: AIOKafkaProducer, topic: str, packed: list[str]) -> None:
    """Take one job after another, and move the group's place past each when it is done, or put aside."""
    async for job in jobs:
        order = job.value.decode()
        for attempt in range(1, ATTEMPTS + 1):  # Meanwhile, all that is behind it in this partition waits.
            try:
                pack(order)
            except ValueError:
                if attempt == ATTEMPTS:
                    headers = [("attempts", str(attempt).encode())]
                    await producer.send_and_wait(f"{topic}-dead", job.value, headers=headers)
            else:
                packed.append(order)
                break
        await jobs.commit({TopicPartition(job.topic, job.partition): job.offset + 1})


async def done(admin: AIOKafkaAdminClient, topic: str) -> int:
    """Return how many of the jobs lie behind the group's places in the partitions."""
    places = await admin.list_consumer_group_offsets(f"{topic}-workers")
    return sum(place.offset for place in places.values() if place.offset > 0)


async def read_all(address: str, topic: str) -> list[ConsumerRecord]:
    """Return all that is in a topic, as somebody who belongs to no group."""
    reader = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest")
    await reader.start()
    try:
        ends = await reader.end_offsets(reader.assignment())
        return [await reader.getone() for _ in range(sum(ends.values()))]
    finally:
        await reader.stop()


async def dead_letters(address: str, topic: str) -> list[tuple[str, str]]:
    """Return the jobs that were put aside, with how often they had been tried."""
    letters = await read_all(address, f"{topic}-dead")
    return [(one.value.decode(), dict(one.headers)["attempts"].decode()) for one in letters]


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def leave_in_the_middle(address: str, topic: str) -> None:
    """Be Eve: take a job, and go before it is done."""
    jobs = join(address, topic)
    await jobs.start()
    try:
        await asyncio.wait_for(jobs.getone(), DEADLINE)
    finally:
        await jobs.stop()  # It tells the group. Nothing was committed, so nothing counts as done.


async def run(stack: AsyncExitStack, address: str, admin: AIOKafkaAdminClient, topic: str) -> None:
    """Publish the orders, let three workers at them, and look at what the server says."""
    producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=address))
    for number, order in enumerate(ORDERS):
        await producer.send_and_wait(topic, order.encode(), partition=number % PARTITIONS)
    await leave_in_the_middle(address, topic)
    show("done when Eve left", await done(admin, topic), 0)
    packed: list[str] = []
    members = [join(address, topic) for _ in ("Ann", "Bob")]
    for jobs in members:
        stack.push_async_callback(jobs.stop)
    # Together, because a server may let a new group wait some seconds for more members.
    await asyncio.gather(*(jobs.start() for jobs in members))
    for jobs in members:
        stack.callback(asyncio.create_task(work(jobs, producer, topic, packed)).cancel)
    async with asyncio.timeout(DEADLINE):
        while await done(admin, topic) < len(ORDERS):
            await asyncio.sleep(0.05)
    show("packed, each once", sorted(packed, key=ORDERS.index), PACKABLE)
    show("put aside", await dead_letters(address, topic), [(POISON, str(ATTEMPTS))])


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    topic = f"orders-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        stack.push_async_callback(admin.close)
        await admin.start()
        # The stack runs backwards: the workers stop before their topics go. The places of the group go with
        # them, and Kafka itself removes an empty group.
        stack.push_async_callback(admin.delete_topics, [topic, f"{topic}-dead"])
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}-dead", 1, 1)])
        await run(stack, address, admin, topic)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_KAFKA_URL", DEFAULT_ADDRESS)
    # A new server, or topic, says "not available" for a moment; the client asks again, and logs that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(given.removeprefix("kafka://")))
