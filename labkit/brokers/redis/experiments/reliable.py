"""What a list promises whose workers keep what they take until it is done (BLMOVE), and what shows it."""

from __future__ import annotations

import asyncio

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.redis.channels.list import RedisList
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.redis.experiments.trying import LAST, moved, on_disk, order_of, take, take_all, yes_if
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RedisClient, "redis", "reliable list", since="6.2", shown_on="8.0")

SHORT = 0.3
"""Seconds after which a worker of these experiments counts as dead."""


async def _reap(tasks: RedisList) -> int:
    """Reap until something was put back."""
    async with asyncio.timeout(10):
        while not (count := await tasks.reap()):  # noqa: ASYNC110  # leases end silently
            await asyncio.sleep(0.02)
    return count


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.YES, "with the length of the list")
async def confirm(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    lengths = [await tasks.push(number) for number in range(3)]
    return Seen(yes_if(lengths == [1, 2, 3]), f"the answers were {lengths}")


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.BY_HAND, "LREM from the list of what the worker took")
async def acknowledgement(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push(0)
    async with tasks.subscribe_reliably("worker") as worker:
        delivery = await anext(worker)
        before = await tasks.held("worker")
        await delivery.ack()
        after = await tasks.held("worker")
    by_hand = (before, after) == (1, 0)
    return Seen(Answer.BY_HAND if by_hand else Answer.NO, f"the worker held {before}, then {after}")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "first in, first out; put back, it is first again")
async def ordering(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(100):
        await tasks.push(number)
    async with tasks.subscribe_reliably("worker") as worker:
        await (await anext(worker)).give_back()
        arrived = await take(worker, 100)
    return Seen(yes_if(arrived == sorted(arrived)), f"{len(arrived)} arrived, {order_of(arrived)}")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.YES, "once the append-only file has it: within a second")
async def persistence(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(5):
        await tasks.push(number)
    worker = await tasks.subscribe_reliably("worker").open()
    await anext(worker)
    await worker.abandon()
    await on_disk(bench.client)
    await bench.crash()
    kept, held = await tasks.depth(), await tasks.held("worker")
    return Seen(yes_if(kept + held == 5), f"{kept} waiting and {held} held of 5 were there after SIGKILL")


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.NO, "what was acknowledged is gone")
async def replay(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    for number in range(3):
        await tasks.push(number)
    async with tasks.subscribe_reliably("worker") as worker:
        await take(worker, 3)
    left = await tasks.depth() + await tasks.held("worker")
    return Seen(yes_if(left == 3), f"{left} of 3 could be read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.BY_HAND, "a reaper puts back what a silent worker held")
async def redelivery(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push(0)
    worker = await tasks.subscribe_reliably("worker", lease=SHORT).open()
    await anext(worker)
    await worker.abandon()
    by_itself = await tasks.depth()
    reaped = await _reap(tasks)
    async with tasks.subscribe_reliably("another") as another:
        came = await take(another, 1)
    by_hand = (by_itself, reaped, came) == (0, 1, [0])
    return Seen(Answer.BY_HAND if by_hand else Answer.NO, f"{by_itself} came by itself, {reaped} by a reaper")


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.YES, "a slow worker is taken for dead, and both work on it")
async def duplicates(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push(0)
    slow = await tasks.subscribe_reliably("slow", lease=SHORT).open()
    arrived = [(await anext(slow)).value]
    await slow.stop_beating()  # as work does that keeps the event loop busy
    await _reap(tasks)
    async with tasks.subscribe_reliably("another") as another:
        arrived += await take(another, 1)
    await slow.close()
    return Seen(yes_if(len(arrived) == 2), f"pushed once, {len(arrived)} workers got it")


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.YES, "it waits in the list, until maxmemory refuses the next")
async def backpressure(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    async with tasks.subscribe_reliably("worker") as worker:
        async with tasks.pipeline() as pipeline:
            for number in range(1000):
                await pipeline.publish(number)
        first = await take(worker, 1)
        waiting = await tasks.depth()
        arrived = first + await take(worker, 999)
    complete = arrived == list(range(1000))
    return Seen(yes_if(complete), f"{waiting} of 1000 waited in the list, {len(arrived)} arrived")


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.BY_HAND, "a worker that gives up moves it to another list")
async def dead_letter(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    await tasks.push("nobody can work on this")
    async with tasks.subscribe_reliably("worker") as worker:
        delivery = await anext(worker)
        await delivery.dead_letter()
    aside = await bench.client.list(tasks.dead_letters).depth()
    held = await tasks.held("worker")
    by_hand = (aside, held) == (1, 0)
    return Seen(Answer.BY_HAND if by_hand else Answer.NO, f"{aside} of 1 was put aside, {held} was held")


@EXPERIMENTS.claim(Aspect.DELAY, Answer.BY_HAND, "a sorted set by due time, and who moves what is due")
async def delay(bench: Bench[RedisClient]) -> Seen:
    tasks = bench.client.list(bench.name("tasks"))
    delayed = bench.client.delayed(tasks)
    await delayed.publish(0, delay=60)
    await delayed.publish(1, delay=0.2)
    before = await tasks.depth()
    due = await moved(delayed)
    async with tasks.subscribe_reliably("worker") as worker:
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
    async with tasks.subscribe_reliably("worker") as worker:
        arrived = await take_all(worker)
    return Seen(yes_if(len(arrived) == 1), f"sent twice, arrived {len(arrived)} times")
