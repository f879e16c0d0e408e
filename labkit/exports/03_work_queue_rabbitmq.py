"""Work queue with RabbitMQ: each job is done by one of several workers.

What it shows:
  - ten orders to pack, shared out among the workers; each acknowledges its job after the work;
  - Eve dies over her first job: her connection ends, and the server gives the job to somebody else at once;
  - one order fails each time: the server counts how often it was rejected, and puts it aside after three
    attempts, into the queue of dead letters.

Install:  pip install aio-pika
Run:      python 03_work_queue_rabbitmq.py amqp://guest:guest@127.0.0.1:5672/
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

DEFAULT_ADDRESS = "amqp://guest:guest@127.0.0.1:5672/"
DEADLINE = 20.0
ATTEMPTS = 3
ORDERS = [f"order {number}" for number in range(1, 11)]
POISON = "order 7"
PACKABLE = [order for order in ORDERS if order != POISON]


async def start_worker(stack: AsyncExitStack, address: str, name: str, packed: list[str]) -> None:
    """Take one job after another, and acknowledge each when it is done."""
    connection = await stack.enter_async_context(await aio_pika.connect(address))
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)  # One job at a time, so that nobody hoards them.

    async def pack(job: AbstractIncomingMessage) -> None:
        order = job.body.decode()
        if order == POISON:
            await job.reject(requeue=True)  # Not nack: from RabbitMQ 4.3 on, that is not counted.
            return
        packed.append(order)
        await job.ack()

    await (await channel.get_queue(name)).consume(pack)


async def die_over_a_job(address: str, name: str) -> str:
    """Be Eve: take a job, and lose the connection before it is done. Return which it was."""
    async with await aio_pika.connect(address) as connection:
        queue = await (await connection.channel()).get_queue(name)
        job = await queue.get(timeout=DEADLINE)
        assert job is not None
        return job.body.decode()


async def prepare(stack: AsyncExitStack, channel: AbstractChannel, name: str) -> AbstractQueue:
    """Make the queue, and the one for its dead letters. Return the latter."""
    dead = await channel.declare_queue(f"{name}.dead", durable=True)
    stack.push_async_callback(dead.delete, if_unused=False, if_empty=False)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",  # Only this kind counts attempts.
            "x-delivery-limit": ATTEMPTS - 1,  # How often a job comes back, after the first time.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead.name,
        },
    )
    stack.push_async_callback(queue.delete, if_unused=False, if_empty=False)
    return dead


async def count(channel: AbstractChannel, name: str) -> int:
    """Ask the server how many jobs wait in a queue. What is in somebody's hands is not among them."""
    found = await channel.declare_queue(name, passive=True)
    return found.declaration_result.message_count or 0


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>22}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(stack: AsyncExitStack, address: str, channel: AbstractChannel, name: str) -> None:
    """Publish the orders, let three workers at them, and look at what the server says."""
    dead = await prepare(stack, channel, name)
    for order in ORDERS:
        message = aio_pika.Message(order.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=name)
    packed: list[str] = []
    show("Eve died over", await die_over_a_job(address, name), ORDERS[0])
    async with AsyncExitStack() as workers, asyncio.timeout(DEADLINE):
        for _ in ("Ann", "Bob"):
            await start_worker(workers, address, name, packed)
        while len(packed) < len(PACKABLE) or await count(channel, dead.name) < 1:
            await asyncio.sleep(0.05)
    show("packed, each once", sorted(packed, key=ORDERS.index), PACKABLE)
    show("left in the queue", await count(channel, name), 0)
    letter = await dead.get(no_ack=True)
    assert letter is not None
    show("put aside", letter.body.decode(), POISON)
    show("because of", letter.headers["x-first-death-reason"], "delivery_limit")


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    async with await aio_pika.connect(address) as connection, AsyncExitStack() as stack:
        await run(stack, address, await connection.channel(), f"orders-{uuid4().hex[:8]}")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_RABBITMQ_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
