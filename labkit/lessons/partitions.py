"""Reading a log of orders with a worker for each partition, one of them slow, and what order came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from labkit.patterns.event_stream import Event, EventLog

__all__ = ["order_kept", "read_with_a_slow_worker"]


async def read_with_a_slow_worker(log: EventLog[Any], key: str) -> list[Event]:
    """Read all that is in a log, one worker a partition; return the events in the order they were done with.

    The worker that has this key stops until the others have done all that is theirs.
    """
    stored, gate = await log.replay(), asyncio.Event()
    slow = {event.partition for event in stored if event.key == key}

    async def work(event: Event) -> None:
        if event.partition in slow:
            await gate.wait()

    reader = await log.reader("packers", work)
    await reader.until(sum(event.partition not in slow for event in stored))
    gate.set()
    return await reader.until(len(stored))


def order_kept(events: Sequence[Event], appended: Sequence[tuple[int, str]]) -> str:
    """Say which order of these steps of orders was kept: "of the whole log", "of each order" or "none"."""
    done = [(event.value["order"], event.value["event"]) for event in events]
    if done == list(appended):
        return "of the whole log"
    each = all(_of(order, done) == _of(order, appended) for order, _ in appended)
    return "of each order" if each else "none"


def _of(order: int, steps: Sequence[tuple[int, str]]) -> list[str]:
    return [step for number, step in steps if number == order]
