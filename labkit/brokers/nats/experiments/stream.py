"""What a JetStream stream promises, and the experiments that show it."""

from __future__ import annotations

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.experiments.parts import FENCE, crash, take, until_fence
from labkit.errors import NotFound
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(NatsClient, "nats", "stream", since="2.10", shown_on="2.15")

NatsBench = Bench[NatsClient]


def yes_if(seen: bool) -> Answer:
    """Return the answer to a question that was tried."""
    return Answer.YES if seen else Answer.NO


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.YES, "with the message's number in the stream")
async def read_the_answers(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    numbers = [(await stream.publish(order)).sequence for order in ("first", "second", "third")]
    stored = await stream.depth()
    return Seen(
        yes_if(numbers == [1, 2, 3] and stored == 3), f"answers {numbers}, and {stored} messages stored"
    )


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.YES, "each by itself: ack, nak, term, in progress")
async def acknowledge_one(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing")
    for number in range(3):
        await stream.publish(number)
    async with consumer.subscribe(batch=3) as billing:
        first, *_ = await take(billing, 3)
        before = (await consumer.info()).num_ack_pending or 0
        await first.ack_sync()
        after = (await consumer.info()).num_ack_pending or 0
    return Seen(yes_if(after < before), f"JetStream waited for {before} acknowledgements, then for {after}")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "as stored; what comes again comes out of turn")
async def send_a_thousand(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing", max_ack_pending=-1)
    async with stream.pipeline() as pipeline:
        for number in range(1000):
            await pipeline.publish(number)
    async with consumer.subscribe() as billing:
        numbers = [delivery.value for delivery in await take(billing, 1000)]
    in_order = sum(number == place for place, number in enumerate(numbers))
    return Seen(yes_if(in_order == 1000), f"{in_order} of 1000 messages arrived in their place")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.YES, 'with storage="file"; a power cut may take 2 minutes')
async def read_after_a_crash(bench: NatsBench) -> Seen:
    on_disk = await bench.client.stream(bench.name("ORDERS"), storage="file")
    in_memory = await bench.client.stream(bench.name("ORDERS"), storage="memory")
    for number in range(5):
        await on_disk.publish(number)
        await in_memory.publish(number)
    await bench.crash()
    await bench.client.restored()
    async with on_disk.replay() as replay:
        kept = len([delivery async for delivery in replay])
    try:
        in_vain = await in_memory.depth()
    except NotFound:  # not even the stream is there
        in_vain = 0
    words = f"after SIGKILL {kept} of 5 messages were there, of a stream in memory {in_vain}"
    return Seen(yes_if(kept == 5), words)


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.YES, "from any number or time, until a limit removes it")
async def read_again(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing")
    for number in range(5):
        await stream.publish(number)
    async with consumer.subscribe() as billing:
        for delivery in await take(billing, 5):
            await delivery.ack_sync()
    async with stream.replay(from_sequence=3) as replay:
        again = [delivery.sequence async for delivery in replay]
    return Seen(yes_if(again == [3, 4, 5]), f"5 were read and acknowledged; numbers {again} were read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.YES, "when ack_wait is over; JetStream hears of no death")
async def die_with_a_message(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing", ack_wait=0.5)
    await stream.publish("order 1")
    mortal = await bench.another()
    dying = await (await (await mortal.find_stream(stream.name)).find_consumer("billing")).subscribe().open()
    await take(dying, 1)
    await crash(mortal)
    async with consumer.subscribe() as heir:
        (again,) = await take(heir, 1)
        await again.ack_sync()
    return Seen(yes_if(bool(again.redelivered)), f"{again.value} came again, as attempt {again.attempt}")


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.YES, "when an acknowledgement is late, or lost in a crash")
async def work_for_too_long(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing", ack_wait=0.3)
    await stream.publish("order 1")
    async with consumer.subscribe() as billing:
        first, second = await take(billing, 2)  # the first is not done in time
        await first.ack_sync()
    same = first.sequence == second.sequence
    return Seen(yes_if(same), f"number {first.sequence} arrived, and then number {second.sequence}")


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.YES, "no more than max_ack_pending are on their way to it")
async def do_not_acknowledge(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing", max_ack_pending=10, mode="push")
    async with stream.pipeline() as pipeline:
        for number in range(200):
            await pipeline.publish(number)
    async with consumer.subscribe() as billing:
        under_way = await take(billing, 10)
        waiting = (await consumer.info()).num_pending or 0
        for delivery in under_way:
            await delivery.ack()
        for _ in range(190):
            await (await anext(billing)).ack()
    return Seen(yes_if(waiting == 190), f"10 were sent and {waiting} waited; in the end all 200 arrived")


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.BY_HAND, "an advisory names it; a stream must keep those")
async def give_up(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    letters = await stream.dead_letters()
    consumer = await stream.consumer("billing", max_deliver=2)
    for order in ("fails always", "is refused", "is fine"):
        await stream.publish(order)
    async with consumer.subscribe() as billing:
        fails, refused, fine = await take(billing, 3)
        await refused.term("no such customer")
        await fine.ack()
        await fails.nak()
        await (await anext(billing)).nak()
        await stream.publish(FENCE)
        await until_fence(billing)  # a message is given up when it would be sent again, so go on asking
    async with letters.subscribe("undertaker") as undertaker:
        found = sorted(letter.value for letter in await take(undertaker, 2))
    by_hand = found == ["fails always", "is refused"]
    return Seen(Answer.BY_HAND if by_hand else Answer.NO, f"found by their advisories: {', '.join(found)}")


@EXPERIMENTS.claim(Aspect.DELAY, Answer.BY_HAND, "a subscriber gives it back with nak(delay)")
async def give_back_for_later(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"))
    consumer = await stream.consumer("billing")
    await stream.publish("later")
    async with consumer.subscribe() as billing:
        (delivery,) = await take(billing, 1)
        await delivery.nak(delay=0.3)
        await stream.publish(FENCE)
        early = len(await until_fence(billing))
        (later,) = await take(billing, 1)
        await later.ack_sync()
    held_back = early == 0 and later.value == "later"
    words = f"given back with a delay, it came {'after' if held_back else 'before'} what was sent behind it"
    return Seen(Answer.BY_HAND if held_back else Answer.NO, words)


@EXPERIMENTS.claim(Aspect.DEDUP, Answer.YES, "by Nats-Msg-Id, for the stream's duplicate_window")
async def publish_twice(bench: NatsBench) -> Seen:
    stream = await bench.client.stream(bench.name("ORDERS"), duplicate_window=120.0)
    first, second = [await stream.publish("paid", message_id="order-1") for _ in range(2)]
    stored = await stream.depth()
    dropped = second.duplicate and not first.duplicate and stored == 1
    return Seen(yes_if(dropped), f"published twice with one id, it is stored {stored} time")
