"""Waiting for a compacted log: the broker drops the older events of a key when it likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.lessons.reading import wait_for
from labkit.patterns.event_stream import Event, EventLog

__all__ = ["until_compacted"]

CLOSING = "closing"


async def until_compacted(log: EventLog[Any], keys: Sequence[str]) -> list[Event]:
    """Wait until each of these keys has one event left, and return them. Raises ``TimeoutError``.

    Kafka never compacts the newest segment of a topic. So that another begins, events of a key of their own
    are appended there.
    """

    async def compacted() -> list[Event]:
        if log.broker == "kafka":
            await log.append(CLOSING, {})
        events = [event for event in await log.replay() if event.key in keys]
        return events if len(events) == len(set(keys)) else []

    return await wait_for(compacted)
