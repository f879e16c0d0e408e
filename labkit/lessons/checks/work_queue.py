"""The checks of lesson 03: a job that comes twice, a slow packer, a complaint that nobody can answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from labkit.brokers.kafka.channels.subscription import TopicSubscription
from labkit.brokers.rabbitmq.channels.queue import Queue, QueueSubscription
from labkit.lessons.checks.words import listed
from labkit.lessons.exercise import Check, Finding
from labkit.lessons.faults import crash_in_step, dies_after, undergo
from labkit.patterns.traffic import make_order

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

WAIT_SECONDS = 30.0
JOBS = 10
MOST_ATTEMPTS = 10
"""How often a complaint is given back before the check gives up."""


async def check_charging(lab: Lab, handle: Any) -> Finding:
    """Let the learner's worker die right after a payment, twice submit one order, and ask Redis who paid."""
    if not callable(handle):
        return Finding(False, "Return the function `handle` itself.")
    queue = await lab.rabbitmq.queue("charging", kind="quorum")
    book = f"charges.{uuid4().hex[:8]}"

    async def charge(key: str, amount: int) -> None:
        await lab.redis.native.hsetnx(book, str(key), amount)  # one key, one payment

    orders = [make_order(number) for number in (1, 2, 3)]
    for order in (*orders, orders[1]):  # the shop got no answer for the second, and submitted it again
        await queue.publish(order, publisher="check")
    told = await _work_off(queue, handle, dies_after(charge), len(orders) + 1)
    paid = [int(amount) for amount in await lab.redis.native.hvals(book)]
    await lab.redis.native.delete(book)
    await queue.delete()
    if told:
        return Finding(False, told)
    owed = sum(order["amount"] for order in orders)
    shows = (
        "A worker died after it had charged, and one order was submitted twice. Redis has"
        f" {len(paid)} payments for {len(orders)} orders, {sum(paid)} in all; {owed} was owed."
    )
    return Finding(sorted(paid) == sorted(order["amount"] for order in orders), shows)


async def _work_off(queue: Queue, handle: Any, charge: Callable[..., Awaitable[None]], count: int) -> str:
    """Hand every job to the learner's handler, and again to a new worker what the first one died over."""
    done = 0
    async with asyncio.timeout(WAIT_SECONDS):
        while done < count:
            worker = await queue.subscribe("check", prefetch=1).open()
            while done < count:
                delivery = await anext(worker)
                told, died = await _one_run(handle, delivery, charge)
                if told:
                    await worker.vanish()
                    return told
                if died:
                    await worker.vanish()  # nothing was acknowledged: RabbitMQ hands the job out again
                    break
                await delivery.ack()
                done += 1
            else:
                await worker.close()
    return ""


async def _one_run(handle: Any, delivery: Any, charge: Callable[..., Awaitable[None]]) -> tuple[str, bool]:
    """Let a handler work on one job; return what it raised, and whether it died over it."""
    died = True

    async def run_once(job: Any) -> None:
        nonlocal died
        died = False
        result = handle(job, charge)
        if inspect.isawaitable(result):
            try:
                await result
            except asyncio.CancelledError:
                died = True

    told = await undergo(run_once, [delivery], crash_in_step)
    return told, died


async def check_packing(lab: Lab, packer: Any) -> Finding:
    """Have the learner's packer be stuck over its first job, and see what RabbitMQ has for others."""
    if not isinstance(packer, QueueSubscription):
        return Finding(False, "Return a subscription of the queue, not yet open: `queue.subscribe(...)`.")
    queue = packer.channel
    for number in range(1, JOBS + 1):
        await queue.publish(make_order(number), publisher="check")
    async with asyncio.timeout(WAIT_SECONDS), packer:
        await anext(packer)  # and never acknowledges it
        left = await _others_do(queue)
    await queue.delete()
    told = f"Of {JOBS} jobs, a packer that is stuck over the first leaves {left} to others."
    return Finding(left == JOBS - 1, told)


async def _others_do(queue: Any) -> int:
    """Return how many jobs another worker gets, until RabbitMQ has none for it any more."""
    done: list[Any] = []
    while await queue.depth():
        async with queue.subscribe("other", prefetch=1).run(done.append):
            while await queue.depth():  # noqa: ASYNC110  # RabbitMQ tells nobody
                await asyncio.sleep(0.02)
    return len(done)


async def check_complaints(lab: Lab, desk: Any) -> Finding:
    """Give one complaint back whenever it comes, and ask Kafka where it ends."""
    if not isinstance(desk, TopicSubscription):
        return Finding(False, "Return a subscription of the topic, not yet open: `topic.subscribe(...)`.")
    aside = await desk.channel.dead_letters()
    before = await aside.end_offset()
    answered, given_back = await _answer(desk)
    put_aside = await aside.end_offset() - before
    told = (
        f"The complaint that nobody can answer was handed out {given_back} times, and Kafka has {put_aside}"
        f" more in `{aside.name}`. Answered were {listed(sorted(answered))}."
    )
    return Finding(put_aside == 1 and given_back == 3 and answered == {"late", "broken"}, told)


async def _answer(desk: TopicSubscription) -> tuple[set[str], int]:
    """Answer what can be answered, and give the rest back; return what was answered, and how often not."""
    this_time = uuid4().hex
    answered: set[str] = set()
    given_back = 0
    async with asyncio.timeout(WAIT_SECONDS), desk:
        for what in ("nobody can answer this", "late", "broken"):
            await desk.channel.publish({"what": what, "try": this_time}, publisher="check")
        while len(answered) < 2 and given_back < MOST_ATTEMPTS:
            complaint = (delivery := await anext(desk)).value
            if complaint["try"] == this_time and complaint["what"].startswith("nobody"):
                given_back += 1
                await delivery.give_back()
                continue
            await delivery.ack()
            if complaint["try"] == this_time:  # and not one of an earlier try
                answered.add(complaint["what"])
    return answered, given_back


CHECKS: Mapping[str, Check] = MappingProxyType(
    {"charging": check_charging, "packing": check_packing, "complaints": check_complaints}
)
