"""What a stream with a consumer group promises, and what shows it."""

from __future__ import annotations

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.redis.experiments.trying import LAST, moved, on_disk, order_of, take, take_all, yes_if
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RedisClient, "redis", "stream", since="6.2", shown_on="8.0")


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.YES, "with the entry's id")
async def confirm(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    ids = [await events.add(number) for number in range(3)]
    found = [entry.id async for entry in events.replay()]
    return Seen(yes_if(ids == found), f"{len(ids)} ids came, and {len(found)} entries have them")


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.YES, "XACK; until then it is pending for its worker")
async def acknowledgement(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    await events.add(0)
    async with group.subscribe("worker") as worker:
        delivery = await anext(worker)
        before = len(await group.pending())
        await delivery.ack()
        after = len(await group.pending())
    return Seen(yes_if((before, after) == (1, 0)), f"{before} pending, then {after}")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "as added; several workers of a group share the order out")
async def ordering(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    for number in range(100):
        await events.add(number)
    async with group.subscribe("worker") as worker:
        arrived = await take(worker, 100)
    return Seen(yes_if(arrived == sorted(arrived)), f"{len(arrived)} arrived, {order_of(arrived)}")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.YES, "once the append-only file has it: within a second")
async def persistence(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    for number in (*range(5), LAST):
        await events.add(number)
    await on_disk(bench.client)
    await bench.crash()
    async with group.subscribe("worker") as worker:
        kept = await take_all(worker)
    return Seen(yes_if(len(kept) == 5), f"{len(kept)} of 5 were there after SIGKILL")


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.YES, "XRANGE from any id, as long as it is not trimmed")
async def replay(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    for number in range(5):
        await events.add(number)
    async with group.subscribe("worker") as worker:
        await take(worker, 5)
    again = [entry.value async for entry in events.replay()]
    return Seen(yes_if(again == list(range(5))), f"{len(again)} of 5 could be read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.BY_HAND, "pending with the dead, until another claims it")
async def redelivery(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    await events.add(0)
    worker = await group.subscribe("worker").open()
    await anext(worker)
    await worker.abandon()
    await events.add(LAST)
    async with group.subscribe("another") as another:
        by_itself = await take_all(another)
    claimed = await group.claim("another", idle=0)
    by_hand = not by_itself and [one.value for one in claimed] == [0]
    words = f"{len(by_itself)} came by itself, {len(claimed)} when claimed"
    return Seen(Answer.BY_HAND if by_hand else yes_if(by_itself == [0]), words)


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.YES, "claimed while its worker is only slow, both work on it")
async def duplicates(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    await events.add(0)
    async with group.subscribe("slow") as slow:
        arrived = [await anext(slow)]
        arrived += await group.claim("another", idle=0)
    same = len({delivery.id for delivery in arrived}) == 1
    return Seen(yes_if(same and len(arrived) == 2), f"added once, {len(arrived)} workers got it")


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.YES, "it waits in the stream, unless it is trimmed unread")
async def backpressure(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    async with group.subscribe("worker") as worker:
        async with events.pipeline() as pipeline:
            for number in range(1000):
                await pipeline.publish(number)
        first = await take(worker, 1)
        waiting = await events.depth()
        arrived = first + await take(worker, 999)
    complete = arrived == list(range(1000))
    return Seen(yes_if(complete), f"{waiting} of 1000 were in the stream, {len(arrived)} arrived")


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.BY_HAND, "Redis counts attempts, a program moves it")
async def dead_letter(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    await events.add("nobody can work on this")
    async with group.subscribe("worker") as worker:
        await (await anext(worker)).give_back()
    await group.claim("another", idle=0)  # and that fails too
    aside = await group.dead_letter(max_attempts=2)
    moved_there = await bench.client.stream(group.dead_letters).depth()
    left = len(await group.pending())
    by_hand = (len(aside), moved_there, left) == (1, 1, 0)
    words = f"{moved_there} of 1 was put aside after 2 attempts, {left} was pending"
    return Seen(Answer.BY_HAND if by_hand else Answer.NO, words)


@EXPERIMENTS.claim(Aspect.DELAY, Answer.BY_HAND, "a sorted set by due time, and who moves what is due")
async def delay(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    delayed = bench.client.delayed(events)
    await delayed.publish(0, delay=60)
    await delayed.publish(1, delay=0.2)
    before = await events.depth()
    due = await moved(delayed)
    async with group.subscribe("worker") as worker:
        came = await take(worker, due)
    by_hand = (before, came, await delayed.depth()) == (0, [1], 1)
    return Seen(
        Answer.BY_HAND if by_hand else Answer.NO, f"{before} at once, {due} when moved, 1 still waits"
    )


@EXPERIMENTS.claim(Aspect.DEDUP, Answer.NO, "each XADD is an entry of its own; XADD IDMP needs Redis 8.6")
async def dedup(bench: Bench[RedisClient]) -> Seen:
    events = bench.client.stream(bench.name("events"))
    group = await events.group("processors")
    for number in (7, 7, LAST):
        await events.add(number)
    async with group.subscribe("worker") as worker:
        arrived = await take_all(worker)
    return Seen(yes_if(len(arrived) == 1), f"sent twice, arrived {len(arrived)} times")
