"""What a topic promises, read by consumer groups, and what shows it."""

from __future__ import annotations

import time

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.experiments.trying import read_all, take
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(KafkaClient, "kafka", "topic", since="2.8", shown_on="4.3")
claim = EXPERIMENTS.claim
HOUR = 3600.0


@claim(Aspect.CONFIRM, Answer.YES, "with its offset; acks=all, 1, or 0 for no answer")
async def confirm(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    silent = await bench.client.producer(acks=0)
    told = [await topic.publish(number) for number in range(3)]
    untold = await silent.publish(topic, 3)
    offsets = [record.offset for record in told]
    answer = Answer.YES if offsets == [0, 1, 2] and untold is None else Answer.NO
    return Seen(answer, f"acks=all told the offsets {offsets}, acks=0 told {untold}")


@claim(Aspect.ACKNOWLEDGEMENT, Answer.YES, "by a position: it is done with all before it")
async def acknowledgement(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    group = bench.name("billing")
    async with topic.subscribe(group, commit="manual") as subscription:
        for number in range(5):
            await topic.publish(number)
        deliveries = [await anext(subscription) for _ in range(5)]
        await deliveries[2].commit()
    stored = await bench.client.admin.group_offsets(group)
    position = stored[deliveries[2].place]
    answer = Answer.YES if position == 3 else Answer.NO
    return Seen(answer, f"message 2 of 0-4 was committed, and the group's position is {position}")


@claim(Aspect.ORDERING, Answer.YES, "within a partition; messages of a key share one")
async def ordering(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"), partitions=3)
    async with topic.pipeline() as pipeline:
        for number in range(60):
            await pipeline.publish({"customer": number % 6, "number": number}, key=f"{number % 6}")
    async with topic.subscribe(bench.name("billing"), start="earliest") as subscription:
        orders = await take(subscription, 60)
    by_key = [[one["number"] for one in orders if one["customer"] == customer] for customer in range(6)]
    in_order = sum(numbers == sorted(numbers) for numbers in by_key)
    answer = Answer.YES if in_order == 6 else Answer.NO
    return Seen(answer, f"{in_order} of 6 keys had their messages in order, over 3 partitions")


@claim(Aspect.PERSISTENCE, Answer.YES, "until its retention is over, 7 days unless set")
async def persistence(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    for number in range(5):
        await topic.publish(number)
    await bench.crash()
    kept = await read_all(topic, bench.name("billing"))
    answer = Answer.YES if kept == [0, 1, 2, 3, 4] else Answer.NO
    return Seen(answer, f"{len(kept)} of 5 messages were there after SIGKILL")


@claim(Aspect.REPLAY, Answer.YES, "from any offset or time that is kept")
async def replay(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    async with topic.subscribe(bench.name("billing"), commit="manual") as subscription:
        for number in range(5):
            await topic.publish(number, timestamp=1000.0 + number)
        for _ in range(5):
            await (await anext(subscription)).commit()
        await subscription.seek(0, 2)
        by_offset = await take(subscription, 3)
        await subscription.seek_to_time(1001.0)
        by_time = await take(subscription, 4)
    answer = Answer.YES if (by_offset, by_time) == ([2, 3, 4], [1, 2, 3, 4]) else Answer.NO
    return Seen(answer, f"of 0-4, all committed, from offset 2 came {by_offset}, from second 1 {by_time}")


@claim(Aspect.REDELIVERY, Answer.YES, "to its group, once the reader's session timed out")
async def redelivery(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    group = bench.name("billing")
    dying = await topic.subscribe("dying", group=group, commit="manual", session_timeout=1.0).open()
    for number in range(3):
        await topic.publish(number)
    await (await anext(dying)).commit()
    await anext(dying)
    await dying.vanish()
    async with topic.subscribe("heir", group=group, session_timeout=1.0) as heir:
        again = await take(heir, 2)
    answer = Answer.YES if again == [1, 2] else Answer.NO
    return Seen(answer, f"of 0-2, the dead reader had committed 0; its group got {again}")


@claim(Aspect.DUPLICATES, Answer.YES, "if a reader dies or a rebalance comes before its commit")
async def duplicates(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    group = bench.name("billing")
    dying = await topic.subscribe("dying", group=group, commit="manual", session_timeout=1.0).open()
    for number in range(3):
        await topic.publish(number)
    first = await take(dying, 3)
    await dying.vanish()
    async with topic.subscribe("heir", group=group, session_timeout=1.0) as heir:
        second = await take(heir, 3)
    twice = len(set(first) & set(second))
    answer = Answer.YES if twice else Answer.NO
    return Seen(answer, f"{twice} of 3 messages, published once, came twice")


@claim(Aspect.BACKPRESSURE, Answer.YES, "it fetches when it is ready; the log keeps the rest")
async def backpressure(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    async with topic.subscribe(bench.name("billing")) as slow:
        async with topic.pipeline() as pipeline:
            for number in range(3000):
                await pipeline.publish({"number": number, "note": "x" * 1000})
        received = [order["number"] for order in await take(slow, 3000)]
    answer = Answer.YES if received == list(range(3000)) else Answer.NO
    return Seen(answer, f"{len(received)} of 3000 messages reached a reader that began when all were sent")


@claim(Aspect.DEAD_LETTER, Answer.BY_HAND, "a second topic by convention: publish there, commit")
async def dead_letter(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    poisoned = await topic.dead_letters()
    done, tries = [], 0
    async with topic.subscribe(bench.name("billing"), dead_letters=poisoned, attempts=3) as subscription:
        for value in ("good", "poison", "better"):
            await topic.publish(value)
        while "better" not in done:
            delivery = await anext(subscription)
            tries += delivery.value == "poison"
            await (delivery.give_back() if delivery.value == "poison" else delivery.ack())
            done += [delivery.value] if delivery.value != "poison" else []
    aside = await read_all(poisoned, bench.name("audit"))
    by_hand = (done, aside, tries) == (["good", "better"], ["poison"], 3)
    return Seen(
        Answer.BY_HAND if by_hand else Answer.NO, f"after {tries} tries {aside} lay in the second topic"
    )


@claim(Aspect.DELAY, Answer.NO, "a timestamp in the future holds nothing back")
async def delay(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    async with topic.subscribe(bench.name("billing")) as subscription:
        await topic.publish("later", timestamp=time.time() + HOUR)
        await topic.publish("now")
        received = await take(subscription, 2)
    answer = Answer.NO if received == ["later", "now"] else Answer.YES
    return Seen(answer, f"one stamped an hour ahead, then one of now, came as {received}")


@claim(Aspect.DEDUP, Answer.NO, "idempotent=True drops only what the library itself repeats")
async def dedup(bench: Bench[KafkaClient]) -> Seen:
    topic = await bench.client.topic(bench.name("orders"))
    producer = await bench.client.producer(idempotent=True)
    for _ in range(2):
        await producer.publish(topic, {"order": 17}, key="17", headers={"id": "17"})
    copies = len(await read_all(topic, bench.name("billing")))
    return Seen(Answer.NO if copies == 2 else Answer.YES, f"one published twice is in the log {copies} times")
