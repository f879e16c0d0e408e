"""What a Redis Pub/Sub channel promises, and what shows it."""

from __future__ import annotations

from redis.exceptions import ResponseError

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.redis.experiments.trying import LAST, keys_of, order_of, take, take_all, yes_if
from labkit.errors import PublishFailed
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RedisClient, "redis", "pub/sub channel", since="2.0", shown_on="8.0")


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.YES, "with how many subscribers it was passed to")
async def confirm(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    before = await channel.publish(0)
    async with channel.subscribe("billing"):
        after = await channel.publish(1)
    return Seen(yes_if((before, after) == (0, 1)), f"{before} receivers, then {after}")


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.NO, "Redis passes it on, and hears nothing back")
async def acknowledgement(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        await channel.publish(0)
        await take(billing, 1)  # and nothing is said of it
        held = await keys_of(bench.client, channel.name)
    return Seen(yes_if(held > 0), f"while it is worked on, Redis keeps {held} keys about it")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "as published")
async def ordering(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        for number in range(200):
            await channel.publish(number)
        arrived = await take(billing, 200)
    return Seen(yes_if(arrived == sorted(arrived)), f"{len(arrived)} arrived, {order_of(arrived)}")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.NO, "who is not subscribed when it is published never gets it")
async def persistence(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    for number in range(5):
        await channel.publish(number)
    await bench.crash()
    async with channel.subscribe("billing") as billing:
        await channel.publish(LAST)
        kept = await take_all(billing)
    return Seen(yes_if(len(kept) == 5), f"{len(kept)} of 5 were there after SIGKILL")


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.NO, "nothing is kept")
async def replay(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        for number in range(3):
            await channel.publish(number)
        await take(billing, 3)
    async with channel.subscribe("audit") as audit:
        await channel.publish(LAST)
        again = await take_all(audit)
    return Seen(yes_if(len(again) == 3), f"{len(again)} of 3 could be read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.NO, "delivered once, done or not")
async def redelivery(bench: Bench[RedisClient]) -> Seen:
    worker = await bench.another()
    channel = bench.client.channel(bench.name("orders"))
    billing = await worker.channel(channel.name).subscribe("billing").open()
    await channel.publish(0)
    await anext(billing)
    await billing.close()  # dies over it: Redis sees no difference
    async with channel.subscribe("billing") as again:
        await channel.publish(LAST)
        came = await take_all(again)
    return Seen(yes_if(came == [0]), f"{len(came)} of 1 came again")


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.NO, "at most once to each subscriber")
async def duplicates(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        for number in range(5):
            await channel.publish(number)
        await bench.crash()
        while not await _heard(bench, channel.name):  # until the subscriber is back
            pass
        arrived = await take_all(billing)
    return Seen(
        yes_if(len(arrived) > len(set(arrived))), f"5 were sent before a SIGKILL, {len(arrived)} came"
    )


async def _heard(bench: Bench[RedisClient], name: str) -> int:
    try:
        return await bench.client.channel(name).publish(LAST)
    except PublishFailed:
        return 0


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.NO, "who lets 32 MB wait is cut off, and misses what follows")
async def backpressure(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:  # and takes nothing
        first = await channel.publish(0)
        async with channel.pipeline(window=250) as pipeline:
            # 10 MB into its own program; then more than 32 MB and what the system's buffers hold, which is
            # twice as much where an engine's proxy stands between the two.
            for _ in range(billing.INBOX + 12_000):
                await pipeline.publish(b"." * 10_000)
        last = await channel.publish(1)
    is_cut_off = (first, last) == (1, 0)
    words = "the slow subscriber was cut off" if is_cut_off else "the slow subscriber was given time"
    return Seen(yes_if(not is_cut_off), f"130 MB were published, and {words}")


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.NO, "Redis does not learn that the work failed")
async def dead_letter(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        await channel.publish("nobody can work on this")
        await take(billing, 1)  # and fails
    aside = await keys_of(bench.client, channel.name)
    return Seen(yes_if(aside > 0), f"{aside} of 1 was put aside")


@EXPERIMENTS.claim(Aspect.DELAY, Answer.NO, "PUBLISH is now or never")
async def delay(bench: Bench[RedisClient]) -> Seen:
    name = bench.name("orders")
    try:
        await bench.client.execute("PUBLISH", name, "later", "DELAY", 1)
    except ResponseError:
        return Seen(Answer.NO, "PUBLISH refuses to be given a time")
    return Seen(Answer.YES, "PUBLISH took a time")


@EXPERIMENTS.claim(Aspect.DEDUP, Answer.NO, "each PUBLISH is a message of its own")
async def dedup(bench: Bench[RedisClient]) -> Seen:
    channel = bench.client.channel(bench.name("orders"))
    async with channel.subscribe("billing") as billing:
        for _ in range(2):
            await channel.publish(7)
        await channel.publish(LAST)
        arrived = await take_all(billing)
    return Seen(yes_if(len(arrived) == 1), f"sent twice, arrived {len(arrived)} times")
