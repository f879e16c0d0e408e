"""What a quorum queue promises, and what shows it."""

from __future__ import annotations

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.rabbitmq.experiments.parts import LAST, found, has, read
from labkit.errors import PublishRefused
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RabbitmqClient, "rabbitmq", "quorum queue", since="4.0", shown_on="4.0")
claim = EXPERIMENTS.claim
Rabbit = Bench[RabbitmqClient]


@claim(Aspect.CONFIRM, Answer.YES, "once most members have it on disk; a full one may nack")
async def confirm(bench: Rabbit) -> Seen:
    """Publish ten at once to a queue, and one by one to a queue for three that refuses the rest."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    async with queue.pipeline() as pipeline:
        for number in range(10):
            await pipeline.publish(number)
    small = await bench.client.queue(
        bench.name("few"), kind="quorum", max_length=3, overflow="reject-publish"
    )
    refused = 0
    for number in range(10):
        try:
            await small.publish(number)
        except PublishRefused:
            refused += 1
    words = f"{pipeline.confirmed} of 10 confirmed; a full queue refused {'some' if refused else 'none'}"
    return Seen(found(pipeline.confirmed == 10 and refused > 0), words)


@claim(Aspect.ACKNOWLEDGEMENT, Answer.YES, "each message, until its subscriber acks, nacks or rejects it")
async def acknowledgement(bench: Rabbit) -> Seen:
    """Take three, acknowledge one, and leave."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    for number in range(3):
        await queue.publish(number)
    async with queue.subscribe("billing") as deliveries:
        taken = [await anext(deliveries) for _ in range(3)]
        await taken[0].ack()
    await queue.publish(LAST)
    left = await read(queue.subscribe("audit"))
    return Seen(found(left == [1, 2]), f"3 taken, 1 acked: {len(left)} still there")


@claim(Aspect.ORDERING, Answer.YES, "as a classic queue; without a limit, given back to the end")
async def ordering(bench: Rabbit) -> Seen:
    """Publish a hundred, give the third back once, and look at the order."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    async with queue.pipeline() as pipeline:
        for number in range(100):
            await pipeline.publish(number)
    order: list[int] = []
    async with queue.subscribe("billing", prefetch=1) as deliveries:
        while len(order) < 100:
            delivery = await anext(deliveries)
            if delivery.value == 2 and not delivery.redelivered:
                await delivery.nack(requeue=True)
            else:
                order.append(delivery.value)
                await delivery.ack()
    in_order = sum(value == place for place, value in enumerate(order))
    return Seen(found(in_order == 100), f"{in_order} of 100 in order, though one was given back")


@claim(Aspect.PERSISTENCE, Answer.YES, "all that is confirmed, once the queue is a second old")
async def persistence(bench: Rabbit) -> Seen:
    """Publish five persistent and five transient messages, and kill the broker."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    await bench.client.queue(bench.name("newest"))  # RabbitMQ 4.0 may lose the newest it made
    await queue.written()
    for number in range(5):
        await queue.publish(f"persistent {number}")
        await queue.publish(f"transient {number}", persistent=False)
    await bench.crash()
    await queue.ready()
    await queue.publish(LAST)
    left = await read(queue.subscribe("billing"))
    kept = sum(value.startswith("persistent") for value in left)
    words = f"{kept} of 5 persistent and {len(left) - kept} of 5 transient were there after SIGKILL"
    return Seen(found(len(left) == 10), words)


@claim(Aspect.REPLAY, Answer.NO, "an acknowledged message is gone; streams replay")
async def replay(bench: Rabbit) -> Seen:
    """Read everything, then come again."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    for value in (0, 1, 2, LAST):
        await queue.publish(value)
    first = await read(queue.subscribe("billing"))
    await queue.publish(LAST)
    again = await read(queue.subscribe("audit"))
    return Seen(found(bool(again)), f"{len(first)} read and acked, {len(again)} there for the next")


@claim(Aspect.REDELIVERY, Answer.YES, "as soon as its channel ends; marked as redelivered")
async def redelivery(bench: Rabbit) -> Seen:
    """Let a subscriber take a message and go without an ack."""
    name = bench.name("orders")
    queue = await bench.client.queue(name, kind="quorum")
    await queue.publish("order")
    other = await bench.another()
    await anext(await (await other.queue(name, kind="quorum")).subscribe("billing").open())
    await other.close()
    async with queue.subscribe("billing") as deliveries:
        delivery = await anext(deliveries)
        await delivery.ack()
    return Seen(found(bool(delivery.redelivered)), f"came again, redelivered={delivery.redelivered}")


@claim(Aspect.DUPLICATES, Answer.YES, "if its subscriber did the work and died before the ack")
async def duplicates(bench: Rabbit) -> Seen:
    """Let a subscriber do its work and go before it could say so."""
    name = bench.name("orders")
    queue = await bench.client.queue(name, kind="quorum")
    await queue.publish("order")
    done = []
    for _ in range(2):
        other = await bench.another()
        subscription = await (await other.queue(name, kind="quorum")).subscribe("billing").open()
        done.append((await anext(subscription)).value)
        await other.close()
    return Seen(found(done == ["order", "order"]), f"published once, worked on {len(done)} times")


@claim(Aspect.BACKPRESSURE, Answer.YES, "prefetch bounds what is handed out; the rest waits")
async def backpressure(bench: Rabbit) -> Seen:
    """Be a subscriber that takes two at a time, and look how many wait."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    for number in range(50):
        await queue.publish(number)
    async with queue.subscribe("billing", prefetch=2) as deliveries:
        first = [await anext(deliveries) for _ in range(2)]
        waits = await has(queue, 48)
    await queue.publish(LAST)
    arrived = len(await read(queue.subscribe("billing", prefetch=2)))
    words = f"{len(first)} handed out, {48 if waits else 'not 48'} waiting; {arrived} of 50 arrived"
    return Seen(found(waits and arrived == 50), words)


@claim(Aspect.DEAD_LETTER, Answer.YES, "also what came back 20 times, or as often as you say")
async def dead_letter(bench: Rabbit) -> Seen:
    """Give one message back again and again, and reject another."""
    name = bench.name("orders")
    queue = await bench.client.queue(name, kind="quorum", dead_letter=True, delivery_limit=2)
    assert queue.dead_letters is not None
    for value in ("delivery_limit", "rejected"):
        await queue.publish(value)
    async with queue.subscribe("billing", prefetch=1) as deliveries:
        attempts = 0
        while (delivery := await anext(deliveries)).value == "delivery_limit":
            attempts += 1
            await delivery.nack(requeue=True)
        await delivery.reject()
    reasons: list[tuple[str, str]] = []
    async with queue.dead_letters.subscribe("doctor") as dead:
        while len(reasons) < 2:
            async with await anext(dead) as letter:
                reasons.append((letter.value, letter.reason))
    told = sum(value == reason for value, reason in reasons)
    return Seen(found(told == 2), f"{told} of 2 put aside, with the reason; one after {attempts} attempts")


@claim(Aspect.DELAY, Answer.BY_HAND, "a queue nobody reads, whose messages expire into this one")
async def delay(bench: Rabbit) -> Seen:
    """Publish to a queue that holds messages for a while, then one straight away."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    later = await bench.client.delayed(queue, 0.3)
    await later.publish("later")
    await queue.publish("now")
    async with queue.subscribe("billing") as deliveries:
        order = [(await anext(deliveries)).value for _ in range(2)]
    answer = Answer.BY_HAND if order == ["now", "later"] else Answer.NO
    return Seen(answer, f"published later, now; arrived {', '.join(order)}")


@claim(Aspect.DEDUP, Answer.NO, "a message id is carried, not looked at")
async def dedup(bench: Rabbit) -> Seen:
    """Publish the same message, with the same id, twice."""
    queue = await bench.client.queue(bench.name("orders"), kind="quorum")
    for _ in range(2):
        await queue.publish("order", message_id="order-17")
    await queue.publish(LAST)
    arrived = await read(queue.subscribe("billing"))
    return Seen(found(len(arrived) == 1), f"published twice with one id, arrived {len(arrived)} times")
