"""The checks of lesson 05: a view that hears twice, a place that moves too early, a key that tears orders."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiokafka import TopicPartition  # type: ignore[import-untyped]

from labkit.brokers.kafka.channels.topic import Topic
from labkit.lessons.checks.words import listed
from labkit.lessons.exercise import Check, Finding
from labkit.lessons.faults import twice, undergo
from labkit.patterns.event_stream import NatsLog
from labkit.patterns.stock_ledger import ITEMS, StockView, book, order_steps

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

CHANGES, AGAIN = range(1, 17), 7
ORDERS = 3
MANY_ORDERS = range(16, 22)
CRASH_SECONDS = 20.0


async def check_stocktaking(lab: Lab, attempt: Any) -> Finding:
    """Hand the handler each event of a real log twice; one change is in the log twice, too."""
    if not (isinstance(attempt, tuple) and len(attempt) == 2 and callable(attempt[1])):
        return Finding(False, "Return two things: your dictionary of levels, and the function that counts.")
    levels, count = attempt
    log = await NatsLog(lab.nats, _new_name("stocktaking")).open()
    await book(log, [*CHANGES, AGAIN])  # the second time, as after a publish in doubt
    events = await log.replay()
    await log.stream.delete()
    told = await undergo(count, events, twice)
    if told:
        return Finding(False, told)
    right = StockView.of(events).levels
    heard = f"Change {AGAIN} was in the log twice, and each of {len(events)} events was handed over twice."
    if levels == right:
        return Finding(True, f"{heard} Your view still says what is in stock: {_told(right)}.")
    return Finding(False, f"{heard} Your view says {_told(levels)}. In stock are {_told(right)}.")


def _told(levels: Mapping[str, int]) -> str:
    return ", ".join(f"{item} {levels[item]}" for item in sorted(levels)) or "nothing"


async def check_dispatch(lab: Lab, handle: Any) -> Finding:
    """Let the program die in the middle of the second of three orders, and ask Kafka for its place."""
    if not callable(handle):
        return Finding(False, "Return your function: `return handle`.")
    topic = await lab.kafka.topic(_new_name("dispatch"))
    for order in range(1, ORDERS + 1):
        await topic.publish({"order": order}, key=str(order))
    try:
        async with asyncio.timeout(CRASH_SECONDS):
            return await _crash_in_second(lab, topic, handle)
    except TimeoutError:
        return Finding(False, f"Not all orders were handed over within {CRASH_SECONDS:g} s.")
    finally:
        await topic.delete()


async def _crash_in_second(lab: Lab, topic: Topic, handle: Any) -> Finding:
    shipped: list[int] = []

    async def ship(order: Mapping[str, int]) -> None:
        shipped.append(order["order"])

    async def die(order: Mapping[str, int]) -> None:
        raise asyncio.CancelledError  # the program is gone before the parcel is

    killed = await _subscription(topic).open()
    told = await _run(handle, await anext(killed), ship) or await _run(handle, await anext(killed), die)
    await killed.vanish()
    if told:
        return Finding(False, told)
    place = await _place(lab, topic)
    if place > len(shipped):
        return Finding(
            False,
            f"The program died before it shipped order {place}, but the group's place in Kafka is {place}"
            " already: its successor goes on behind it, and nobody ships that order.",
        )
    async with _subscription(topic) as successor:
        for _ in range(ORDERS - place):
            if told := await _run(handle, await anext(successor), ship):
                return Finding(False, told)
        place = await _place(lab, topic)
    return _judge(shipped, place)


def _judge(shipped: list[int], place: int) -> Finding:
    orders = ", ".join(str(order) for order in shipped) or "none"
    told = f"The program died in the middle of order 2, and its successor went on. Shipped: {orders}."
    if set(shipped) != set(range(1, ORDERS + 1)):
        return Finding(False, f"{told} Some order was never shipped.")
    if place < ORDERS:
        return Finding(
            False, f"{told} But the group's place in Kafka is {place} of {ORDERS}: they will all come again."
        )
    if len(shipped) > ORDERS:
        return Finding(False, f"{told} Order 1 was shipped again, though it was done before the crash.")
    return Finding(True, f"{told} The group's place in Kafka is {place} of {ORDERS}.")


def _subscription(topic: Topic) -> Any:
    # A short session: the group learns soon that the first reader is gone.
    return topic.subscribe(
        "dispatch", group=topic.name, start="earliest", commit="manual", session_timeout=1.0, heartbeat=0.2
    )


async def _place(lab: Lab, topic: Topic) -> int:
    done = await lab.kafka.admin.group_offsets(topic.name)
    return done.get(TopicPartition(topic.name, 0), 0)


async def _run(handle: Any, delivery: Any, ship: Any) -> str:
    """Run the learner's handler in a task of its own, which may die; return what it raised, in words."""

    async def work() -> None:
        result = handle(delivery, ship)
        if inspect.isawaitable(result):
            await result

    run = asyncio.create_task(work(), name="a learner's handler")
    try:
        await asyncio.wait([run])
    finally:
        run.cancel()
    if run.cancelled() or run.exception() is None:
        return ""
    error = run.exception()
    return f"Your handler raised {type(error).__name__}: {error}"


async def check_one_order(lab: Lab, key_of: Any) -> Finding:
    """Publish the steps of some orders with the learner's keys, and see in which partition each one lies."""
    if not callable(key_of):
        return Finding(False, "Return your function: `return key_of`.")
    topic = await lab.kafka.topic(_new_name("one-order"), partitions=3)
    homes: dict[int, set[int]] = {order: set() for order in MANY_ORDERS}
    try:
        for number, (order, event) in enumerate(order_steps(MANY_ORDERS)):
            step = {"id": number, "order": order, "event": event, "item": ITEMS[number % len(ITEMS)]}
            found = await topic.publish(step, key=str(key_of(step)))
            homes[order].add(found.partition)
    except (KeyError, TypeError, AttributeError) as error:  # the learner's own code
        return Finding(False, f"Your function raised {type(error).__name__}: {error}")
    finally:
        await topic.delete()
    return _judge_homes(homes)


def _judge_homes(homes: Mapping[int, set[int]]) -> Finding:
    used = sorted(set[int]().union(*homes.values()))
    for order, partitions in homes.items():
        if len(partitions) > 1:
            there = listed(str(partition) for partition in sorted(partitions))
            return Finding(
                False, f"The events of order {order} lie in the partitions {there}: no order among them."
            )
    if len(used) == 1:
        return Finding(
            False, f"Every order is in partition {used[0]}: in order, but one worker has to do them all."
        )
    told = listed(str(partition) for partition in used)
    return Finding(True, f"Each order is in one partition, and all of them together use {told}.")


def _new_name(word: str) -> str:
    return f"{word}-{uuid4().hex[:8]}"


CHECKS: Mapping[str, Check] = MappingProxyType(
    {"stocktaking": check_stocktaking, "dispatch": check_dispatch, "one_order": check_one_order}
)
