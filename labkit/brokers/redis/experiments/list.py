"""What a list promises whose workers take elements for good (BRPOP), and what shows it."""

from __future__ import annotations

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.redis.experiments.trying import (
    LAST,
    keys_of,
    moved,
    on_disk,
    order_of,
    take,
    take_all,
    yes_if,
)
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RedisClient, "redis", "list", since="2.0", shown_on="8.0")


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.YES, "with the length of the list")
async def confirm(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    lengths = [await tasks.push(number) for number in range(3)]
    return Seen(yes_if(lengths == [1, 2, 3]), f"the answers were {lengths}")


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.NO, "BRPOP takes it for good")
async def acknowledgement(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push(0)
    async with tasks.subscribe("worker") as worker:
        await take(worker, 1)  # and works on it
        held = await keys_of(bench.client, tasks.name)
    return Seen(yes_if(held > 0), f"while it is worked on, Redis keeps {held} keys about it")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "first in, first out")
async def ordering(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(100):
        await tasks.push(number)
    async with tasks.subscribe("worker") as worker:
        arrived = await take(worker, 100)
    return Seen(yes_if(arrived == sorted(arrived)), f"{len(arrived)} arrived, {order_of(arrived)}")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.YES, "once the append-only file has it: within a second")
async def persistence(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(5):
        await tasks.push(number)
    await on_disk(bench.client)
    await bench.crash()
    kept = await tasks.depth()
    return Seen(yes_if(kept == 5), f"{kept} of 5 were there after SIGKILL")


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.NO, "what was taken is gone")
async def replay(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(3):
        await tasks.push(number)
    async with tasks.subscribe("worker") as worker:
        await take(worker, 3)
    left = await tasks.depth()
    return Seen(yes_if(left == 3), f"{left} of 3 could be read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.NO, "what a worker dies over is lost")
async def redelivery(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push(0)
    worker = await (await bench.another()).list(tasks.name).subscribe("worker").open()
    await anext(worker)
    await worker.abandon()
    await tasks.push(LAST)
    async with tasks.subscribe("another") as another:
        came = await take_all(another)
    return Seen(yes_if(came == [0]), f"{len(came)} of 1 came again")


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.NO, "at most once, to one worker")
async def duplicates(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in (*range(4), LAST):
        await tasks.push(number)
    worker = await tasks.subscribe("worker").open()
    arrived = await take(worker, 2)
    await worker.abandon()
    async with tasks.subscribe("another") as another:
        arrived += await take_all(another)
    return Seen(yes_if(len(arrived) > len(set(arrived))), f"4 were pushed, {len(arrived)} came, over a crash")


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.YES, "it waits in the list, until maxmemory refuses the next")
async def backpressure(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    async with tasks.subscribe("worker") as worker:
        async with tasks.pipeline() as pipeline:
            for number in range(1000):
                await pipeline.publish(number)
        first = await take(worker, 1)
        waiting = await tasks.depth()
        arrived = first + await take(worker, 999)
    complete = arrived == list(range(1000))
    return Seen(yes_if(complete), f"{waiting} of 1000 waited in the list, {len(arrived)} arrived")


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.NO, "Redis does not learn that the work failed")
async def dead_letter(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push("nobody can work on this")
    async with tasks.subscribe("worker") as worker:
        await take(worker, 1)  # and fails
    aside = await keys_of(bench.client, tasks.name)
    return Seen(yes_if(aside > 0), f"{aside} of 1 was put aside")


@EXPERIMENTS.claim(Aspect.DELAY, Answer.BY_HAND, "a sorted set by due time, and who moves what is due")
async def delay(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    delayed = bench.client.delayed(tasks)
    await delayed.publish(0, delay=60)
    await delayed.publish(1, delay=0.2)
    before = await tasks.depth()
    due = await moved(delayed)
    async with tasks.subscribe("worker") as worker:
        came = await take(worker, due)
    by_hand = (before, came, await delayed.depth()) == (0, [1], 1)
    return Seen(
        Answer.BY_HAND if by_hand else Answer.NO, f"{before} at once, {due} when moved, 1 still waits"
    )


@EXPERIMENTS.claim(Aspect.DEDUP, Answer.NO, "each push is an element of its own")
async def dedup(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in (7, 7, LAST):
        await tasks.push(number)
    async with tasks.subscribe("worker") as worker:
        arrived = await take_all(worker)
    return Seen(yes_if(len(arrived) == 1), f"sent twice, arrived {len(arrived)} times")
