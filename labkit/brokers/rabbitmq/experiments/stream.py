"""What a stream promises, read over AMQP, and what shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.rabbitmq.experiments.parts import LAST, found, read
from labkit.errors import BrokerError
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(RabbitmqClient, "rabbitmq", "stream", since="3.11", shown_on="4.0")
claim = EXPERIMENTS.claim
Rabbit = Bench[RabbitmqClient]


@claim(Aspect.CONFIRM, Answer.YES, "once a majority of its members has it, before it is on disk")
async def confirm(bench: Rabbit) -> Seen:
    """Publish ten at once, and count what was confirmed."""
    stream = await bench.client.stream(bench.name("log"))
    async with stream.pipeline() as pipeline:
        for number in range(10):
            await pipeline.publish(number)
    return Seen(found(pipeline.confirmed == 10), f"{pipeline.confirmed} of 10 confirmed")


@claim(Aspect.ACKNOWLEDGEMENT, Answer.NO, "an ack is only credit; each reader keeps its own place")
async def acknowledgement(bench: Rabbit) -> Seen:
    """Read everything, and look whether it is still there."""
    stream = await bench.client.stream(bench.name("log"))
    for value in (0, 1, 2, LAST):
        await stream.publish(value)
    first = await read(stream.subscribe("billing", start="first"))
    again = await read(stream.subscribe("billing", start="first"))
    return Seen(
        found(again != first), f"{len(first)} read, and {len(again)} there when the reader came again"
    )


@claim(Aspect.ORDERING, Answer.YES, "by offset, for every reader")
async def ordering(bench: Rabbit) -> Seen:
    """Publish a hundred, and let two read them."""
    stream = await bench.client.stream(bench.name("log"))
    async with stream.pipeline() as pipeline:
        for number in range(100):
            await pipeline.publish(number)
        await pipeline.publish(LAST)
    orders = [await read(stream.subscribe(name, start="first")) for name in ("billing", "audit")]
    in_order = sum(order == list(range(100)) for order in orders)
    return Seen(found(in_order == 2), f"{in_order} of 2 readers got 100 in order")


@claim(Aspect.PERSISTENCE, Answer.YES, "all that is confirmed; a broker's first stream after a second")
async def persistence(bench: Rabbit) -> Seen:
    """Publish ten, and kill the broker."""
    stream = await bench.client.stream(bench.name("log"))
    await bench.client.queue(bench.name("newest"))  # RabbitMQ 4.0 may lose the newest it made
    await stream.written()
    for number in range(10):
        await stream.publish(number)
    await bench.crash()
    await stream.ready()
    await stream.publish(LAST)
    kept = await read(stream.subscribe("billing", start="first"))
    return Seen(found(kept == list(range(10))), f"{len(kept)} of 10 messages were there after SIGKILL")


@claim(Aspect.REPLAY, Answer.YES, "from any offset or time, until it goes by size or age")
async def replay(bench: Rabbit) -> Seen:
    """Read from the start, from an offset, and from a time before all of it."""
    before = datetime.now(UTC)
    stream = await bench.client.stream(bench.name("log"))
    for value in (*range(20), LAST):
        await stream.publish(value)
    counts = [len(await read(stream.subscribe("audit", start=start))) for start in ("first", 15, before)]
    words = f"{counts[0]} from the start, {counts[1]} from offset 15, {counts[2]} from a time before"
    return Seen(found(counts == [20, 5, 20]), words)


@claim(Aspect.REDELIVERY, Answer.BY_HAND, "start again after the last offset you kept")
async def redelivery(bench: Rabbit) -> Seen:
    """Let a reader die after two of five; one that comes back by itself starts at the end."""
    name = bench.name("log")
    stream = await bench.client.stream(name)
    for number in range(5):
        await stream.publish(number)
    other = await bench.another()
    deliveries = await (await other.stream(name)).subscribe("billing", start="first").open()
    kept = [(await anext(deliveries)).offset for _ in range(2)][-1]
    await other.close()
    returning = await stream.subscribe("billing").open()
    await stream.publish(LAST)
    by_itself = await read(returning)
    by_hand = await read(stream.subscribe("billing", start=kept + 1))
    answer = Answer.YES if by_itself else Answer.BY_HAND if by_hand == [2, 3, 4] else Answer.NO
    return Seen(answer, f"{len(by_itself)} of 3 came by themselves, {len(by_hand)} from the offset kept")


@claim(Aspect.DUPLICATES, Answer.YES, "if a reader did the work and died before it kept the offset")
async def duplicates(bench: Rabbit) -> Seen:
    """Let a reader work on a message and die before it kept its place."""
    name = bench.name("log")
    await (await bench.client.stream(name)).publish("order")
    done = []
    for _ in range(2):
        other = await bench.another()
        deliveries = await (await other.stream(name)).subscribe("billing", start=0).open()
        done.append((await anext(deliveries)).value)
        await other.close()
    return Seen(found(done == ["order", "order"]), f"published once, worked on {len(done)} times")


@claim(Aspect.BACKPRESSURE, Answer.YES, "prefetch bounds what is sent; the rest waits in the log")
async def backpressure(bench: Rabbit) -> Seen:
    """Read slowly, two at a time, while everything is already there."""
    stream = await bench.client.stream(bench.name("log"))
    async with stream.pipeline() as pipeline:
        for value in (*range(500), LAST):
            await pipeline.publish(value)
    arrived = await read(stream.subscribe("billing", start="first", prefetch=2))
    return Seen(found(arrived == list(range(500))), f"{len(arrived)} of 500 arrived, 2 at a time")


@claim(Aspect.DEAD_LETTER, Answer.NO, "nothing is refused or taken away; copy it elsewhere yourself")
async def dead_letter(bench: Rabbit) -> Seen:
    """Ask for a stream with a place for dead letters."""
    try:
        await bench.client.stream(bench.name("log"), arguments={"x-dead-letter-exchange": "amq.direct"})
    except BrokerError:
        return Seen(Answer.NO, "RabbitMQ refuses to make a stream with a dead-letter exchange")
    return Seen(Answer.YES, "RabbitMQ made a stream with a dead-letter exchange")


@claim(Aspect.DELAY, Answer.BY_HAND, "a queue nobody reads, whose messages expire into the stream")
async def delay(bench: Rabbit) -> Seen:
    """Publish to a queue that holds messages for a while, then one straight away."""
    stream = await bench.client.stream(bench.name("log"))
    later = await bench.client.delayed(stream, 0.3)
    await later.publish("later")
    await stream.publish("now")
    async with stream.subscribe("billing", start="first") as deliveries:
        order = [(await anext(deliveries)).value for _ in range(2)]
    answer = Answer.BY_HAND if order == ["now", "later"] else Answer.NO
    return Seen(answer, f"published later, now; arrived {', '.join(order)}")


@claim(Aspect.DEDUP, Answer.NO, "over AMQP; RabbitMQ's own stream protocol has publishing ids")
async def dedup(bench: Rabbit) -> Seen:
    """Publish the same message, with the same id, twice."""
    stream = await bench.client.stream(bench.name("log"))
    for value in ("order", "order", LAST):
        await stream.publish(value, message_id="order-17")
    arrived = await read(stream.subscribe("billing", start="first"))
    return Seen(found(len(arrived) == 1), f"published twice with one id, arrived {len(arrived)} times")
