"""What a NATS subject promises, and the experiments that show it."""

from __future__ import annotations

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.experiments.parts import FENCE, crash, take, until_fence, until_some_fence
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(NatsClient, "nats", "subject", since="2.10", shown_on="2.15")

NatsBench = Bench[NatsClient]


def yes_if(seen: bool) -> Answer:
    """Return the answer to a question that was tried."""
    return Answer.YES if seen else Answer.NO


@EXPERIMENTS.claim(Aspect.CONFIRM, Answer.NO, "publish returns when the message is in a buffer")
async def publish_to_a_dead_broker(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    await bench.server.kill()
    try:
        await subject.publish(1)
        returned = True
    except Exception:
        returned = False
    await bench.server.restart()
    return Seen(
        yes_if(not returned), f"publish {'returned' if returned else 'failed'} with the broker killed"
    )


@EXPERIMENTS.claim(Aspect.ACKNOWLEDGEMENT, Answer.NO, "a message is done with once it was sent on")
async def look_for_an_acknowledgement(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        await subject.publish(1)
        (delivery,) = await take(billing, 1)
    reply = delivery.reply_to or "none"
    asked = isinstance(delivery, OpenDelivery) or reply != "none"
    return Seen(yes_if(asked), f"address for an acknowledgement in the message: {reply}")


@EXPERIMENTS.claim(Aspect.ORDERING, Answer.YES, "each subscriber gets a publisher's messages in order")
async def send_a_thousand(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        for number in range(1000):
            await subject.publish(number)
        numbers = [delivery.value for delivery in await take(billing, 1000)]
    in_order = sum(number == place for place, number in enumerate(numbers))
    return Seen(yes_if(in_order == 1000), f"{in_order} of 1000 messages arrived in their place")


@EXPERIMENTS.claim(Aspect.PERSISTENCE, Answer.NO, "nothing is kept, not even for a moment")
async def subscribe_after_a_crash(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    for number in range(5):
        await subject.publish(number)
    await bench.client.flush()
    await bench.crash()
    reader = (await bench.another()).subject(subject.name)
    async with reader.subscribe("billing") as billing:
        await reader.publish(FENCE)
        kept = len(await until_fence(billing))
    return Seen(yes_if(kept == 5), f"{kept} of 5 messages were there after SIGKILL")


@EXPERIMENTS.claim(Aspect.REPLAY, Answer.NO, "nothing is kept to be read again")
async def come_late(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        for number in range(5):
            await subject.publish(number)
        read = len(await take(billing, 5))
    async with subject.subscribe("audit") as audit:
        await subject.publish(FENCE)
        again = len(await until_fence(audit))
    return Seen(yes_if(again > 0), f"of {read} messages that were read, {again} could be read again")


@EXPERIMENTS.claim(Aspect.REDELIVERY, Answer.NO, "what a dying subscriber had is gone")
async def die_with_a_message(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    mortal = await bench.another()
    dying = await mortal.subject(subject.name).subscribe("worker-1", queue_group="workers").open()
    await subject.publish(1)
    await take(dying, 1)
    async with subject.subscribe("worker-2", queue_group="workers") as heir:
        await crash(mortal)
        again = len(await until_some_fence(subject, heir))
    return Seen(yes_if(again > 0), f"of 1 message that its subscriber died with, {again} came again")


@EXPERIMENTS.claim(Aspect.DUPLICATES, Answer.NO, "at most once: sent on once, or never")
async def crash_under_way(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        for number in range(100):
            await subject.publish(number)
        await bench.client.flush()
        await bench.crash()
        await bench.client.restored()
        await subject.publish(FENCE)
        numbers = [delivery.value for delivery in await until_fence(billing)]
    twice = len(numbers) - len(set(numbers))
    return Seen(yes_if(twice > 0), f"{twice} of 100 messages arrived twice, over a crash of the broker")


@EXPERIMENTS.claim(Aspect.BACKPRESSURE, Answer.NO, "what a slow subscriber has no room for is dropped")
async def do_not_read(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing", pending_messages=100) as billing:
        for number in range(1000):
            await subject.publish(number)
        await bench.client.flush()
        kept = 1000 - billing.dropped
        await take(billing, kept)
    return Seen(
        yes_if(billing.dropped == 0), f"with room for 100, {kept} of 1000 arrived, the rest was dropped"
    )


@EXPERIMENTS.claim(Aspect.DEAD_LETTER, Answer.NO, "a message nobody can work on is gone")
async def fail_to_work(bench: NatsBench) -> Seen:
    place = bench.name("orders")
    subject = bench.client.subject(f"{place}.created")
    async with bench.client.subject(f"{place}.>").subscribe("undertaker") as undertaker:
        async with subject.subscribe("billing") as billing:
            await subject.publish("not an order")
            (delivery,) = await take(billing, 1)
            assert delivery.value != {}  # and no way to say that it is of no use
        await bench.client.subject(f"{place}.end").publish(FENCE)
        aside = len(await until_fence(undertaker)) - 1  # the one that was published
    return Seen(yes_if(aside > 0), f"of 1 message that could not be worked on, {aside} was put aside")


@EXPERIMENTS.claim(Aspect.DELAY, Answer.NO, "a message is sent on at once")
async def ask_for_a_delay(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        await subject.publish("later", headers={"Nats-Schedule": "@at 2100-01-01T00:00:00Z"})
        await subject.publish(FENCE)
        at_once = len(await until_fence(billing))
    return Seen(yes_if(at_once == 0), f"{at_once} of 1 message arrived at once, with the header for a delay")


@EXPERIMENTS.claim(Aspect.DEDUP, Answer.NO, "each publish is a message of its own")
async def publish_twice(bench: NatsBench) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    async with subject.subscribe("billing") as billing:
        for _ in range(2):
            await subject.publish("paid", headers={"Nats-Msg-Id": "order-1"})
        await subject.publish(FENCE)
        arrived = len(await until_fence(billing))
    return Seen(yes_if(arrived == 1), f"published twice with one Nats-Msg-Id, it arrived {arrived} times")
