"""Work queue with Redis: each job is done by one of several workers.

What it shows:
  - ten orders to pack, in a stream; a consumer group shares them out, and remembers who has which;
  - Eve dies over her first job: Redis keeps it for her, so the others look for what has been idle for long,
    and claim it;
  - one order fails each time: Redis counts how often it was handed out. To put it aside after three attempts
    is the workers' own job (built here).

Install:  pip install redis
Run:      python 03_work_queue_redis.py redis://127.0.0.1:6379
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

DEFAULT_ADDRESS = "redis://127.0.0.1:6379"
DEADLINE = 20.0
PATIENCE = 200  # Milliseconds. It must be longer than a job takes, or two will work on it.
ATTEMPTS = 3
GROUP = "workers"
ORDERS = [f"order {number}" for number in range(1, 11)]
POISON = "order 7"
PACKABLE = [order for order in ORDERS if order != POISON]


async def take(redis: Redis, name: str, worker: str) -> list[Any]:
    """Return a job as [(id, fields)]: one that somebody left for too long, else a new one."""
    _, left, *_ = await redis.xautoclaim(name, GROUP, worker, PATIENCE, count=1)
    if left:
        return list(left)
    new: Any = await redis.xreadgroup(GROUP, worker, {name: ">"}, count=1, block=50)
    return list(new[0][1]) if new else []


async def attempts(redis: Redis, name: str, job: str) -> int:
    """Ask how often a job was handed out."""
    [pending] = await redis.xpending_range(name, GROUP, min=job, max=job, count=1)
    return int(pending["times_delivered"])


async def work(redis: Redis, name: str, worker: str, packed: list[str], closing: asyncio.Event) -> None:
    """Take one job after another, and acknowledge each when it is done."""
    while not closing.is_set():
        for job, fields in await take(redis, name, worker):
            if fields["order"] != POISON:
                packed.append(fields["order"])
                await redis.xack(name, GROUP, job)
            elif await attempts(redis, name, job) >= ATTEMPTS:
                await put_aside(redis, name, job, fields)
            # Else: not acknowledged, it is claimed again when it has been idle for long enough.


async def put_aside(redis: Redis, name: str, job: str, fields: dict[Any, Any]) -> None:
    """Move a job to the dead letters, in one transaction: it must be in one place, never in two or none."""
    async with redis.pipeline(transaction=True) as both:
        both.xadd(f"{name}.dead", {**fields, "attempts": ATTEMPTS})
        both.xack(name, GROUP, job)
        await both.execute()


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def counts(redis: Redis, name: str) -> tuple[int, int]:
    """Return how many jobs wait, and how many are in somebody's hands."""
    [group] = await redis.xinfo_groups(name)
    return group["lag"], group["pending"]


async def run(redis: Redis, name: str) -> None:
    """Publish the orders, let three workers at them, and look at what the server says."""
    await redis.xgroup_create(name, GROUP, id="0", mkstream=True)
    for order in ORDERS:
        await redis.xadd(name, {"order": order})
    await take(redis, name, "Eve")  # And that was the last that was heard of her.
    show("waiting, in Eve's hands", await counts(redis, name), (9, 1))
    packed: list[str] = []
    closing = asyncio.Event()
    workers = [asyncio.create_task(work(redis, name, one, packed, closing)) for one in ("Ann", "Bob")]
    try:
        async with asyncio.timeout(DEADLINE):
            while len(packed) < len(PACKABLE) or await counts(redis, name) != (0, 0):
                await asyncio.sleep(0.05)
    finally:
        closing.set()
        await asyncio.gather(*workers)
    show("packed, each once", sorted(packed, key=ORDERS.index), PACKABLE)
    dead: Any = await redis.xrange(f"{name}.dead")
    show("put aside", [fields for _, fields in dead], [{"order": POISON, "attempts": str(ATTEMPTS)}])
    # Redis counts; it forgets nothing by itself. XTRIM or MAXLEN would make room.
    show("still in the stream", await redis.xlen(name), len(ORDERS))


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"orders-{uuid4().hex[:8]}"
    redis = Redis.from_url(address, decode_responses=True)
    async with redis, AsyncExitStack() as stack:
        stack.push_async_callback(redis.delete, name, f"{name}.dead")
        await run(redis, name)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_REDIS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
