"""Work queue with NATS JetStream: each job is done by one of several workers.

What it shows:
  - ten orders to pack, shared out among the workers; each acknowledges its job after the work;
  - Eve dies over her first job: the server waits a second, then gives it to somebody else;
  - one order fails each time: after three attempts the server stops handing it out, and says so. Nobody gets
    that job any more, but it stays in the stream: a stream of such advisories is the list of dead letters.

Install:  pip install nats-py
Run:      python 03_work_queue_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

from nats.aio.client import Client
from nats.errors import TimeoutError as NothingYet
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 20.0
PATIENCE = 1.0
ATTEMPTS = 3
ORDERS = [f"order {number}" for number in range(1, 11)]
POISON = "order 7"
PACKABLE = [order for order in ORDERS if order != POISON]


async def work(js: JetStreamContext, name: str, worker: str, packed: list[str]) -> None:
    """Take one job after another, and acknowledge each when it is done."""
    jobs = await js.pull_subscribe_bind("workers", name)
    while True:
        try:
            [job] = await jobs.fetch(1, timeout=0.5)
        except NothingYet:
            continue
        order = job.data.decode()
        if worker == "Eve":
            return  # She dies over it. To the server she is only silent.
        if order == POISON:
            await job.nak(delay=0.05)  # Without the delay it would come before all that wait.
            continue
        packed.append(order)
        await job.ack()


async def prepare(stack: AsyncExitStack, js: JetStreamContext, name: str) -> None:
    """Make the queue, its dead letters, and what the workers share: their place in the queue."""
    await js.add_stream(StreamConfig(name, subjects=[f"{name}.jobs"], retention=RetentionPolicy.WORK_QUEUE))
    stack.push_async_callback(js.delete_stream, name)
    # Before the first job: the server says only once that it gives a job up.
    gave_up = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{name}.workers"
    await js.add_stream(StreamConfig(f"{name}-dead", subjects=[gave_up]))
    stack.push_async_callback(js.delete_stream, f"{name}-dead")
    await js.add_consumer(name, ConsumerConfig("workers", ack_wait=PATIENCE, max_deliver=ATTEMPTS))


async def dead_letters(js: JetStreamContext, name: str) -> list[tuple[str, int]]:
    """Return the jobs that were given up, with how often they had been handed out."""
    letters: list[tuple[str, int]] = []
    for number in range(1, (await js.stream_info(f"{name}-dead")).state.messages + 1):
        advisory = json.loads((await js.get_msg(f"{name}-dead", number)).data or b"")
        job = await js.get_msg(name, advisory["stream_seq"])
        letters.append(((job.data or b"").decode(), advisory["deliveries"]))
    return letters


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>26}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(stack: AsyncExitStack, js: JetStreamContext, name: str) -> None:
    """Publish the orders, let three workers at them, and look at what the server says."""
    for order in ORDERS:
        await js.publish(f"{name}.jobs", order.encode())
    packed: list[str] = []
    await work(js, name, "Eve", packed)
    show("waiting, in Eve's hands", await counts(js, name), (9, 1))
    for worker in ("Ann", "Bob"):
        stack.callback(asyncio.create_task(work(js, name, worker, packed)).cancel)
    async with asyncio.timeout(DEADLINE):
        while len(packed) < len(PACKABLE) or not await dead_letters(js, name):
            await asyncio.sleep(0.05)
    show("packed, each once", sorted(packed, key=ORDERS.index), PACKABLE)
    show("given up, after attempts", await dead_letters(js, name), [(POISON, ATTEMPTS)])
    # What was acknowledged is gone; the dead letter alone is left.
    show("left in the queue", (await js.stream_info(name)).state.messages, 1)


async def counts(js: JetStreamContext, name: str) -> tuple[int | None, int | None]:
    """Return how many jobs wait, and how many are in somebody's hands."""
    info = await js.consumer_info(name, "workers")
    return info.num_pending, info.num_ack_pending


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"orders-{uuid4().hex[:8]}"
    connection = Client()
    try:
        # By default, the first connect would try a wrong address for about two minutes.
        await connection.connect(address, max_reconnect_attempts=1, reconnect_time_wait=1)
        async with AsyncExitStack() as stack:
            await prepare(stack, connection.jetstream(), name)
            await run(stack, connection.jetstream(), name)
    finally:
        await connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
