"""How far a subscriber is done, noted message by message and stored about once a second."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.kafka.channels.delivery import TopicDelivery

__all__ = ["Progress"]

STORE_SECONDS = 1.0
"""How often the place is stored while messages flow."""


class Progress:
    """What was handed out is done when the next message is asked for.

    What is not stored is read again, never lost.
    """

    def __init__(self) -> None:
        self.era = 0
        """How many rebalances there were: what was handed out before the last may be another's by now."""
        self.store_at = 0.0
        """When the place is to be stored next, in seconds of ``time.monotonic``."""
        self._handed_out: TopicDelivery | None = None
        self._done: dict[tuple[str, int], int] = {}

    def hand_out(self, delivery: TopicDelivery) -> None:
        """Note that the subscriber works on this one now."""
        self._handed_out = delivery

    def finish_last(self) -> None:
        """Note that what was handed out is done."""
        delivery = self._handed_out
        self._handed_out = None
        if delivery is None or delivery.is_settled or delivery.era != self.era:
            return
        record = delivery.native
        self._done[record.topic, record.partition] = record.offset + 1

    def forget(self, place: TopicPartition) -> None:
        """Drop what would be stored for this partition by itself: something newer was said about it."""
        self._done.pop(place, None)
        if self._handed_out is not None and self._handed_out.place == place:
            self._handed_out = None

    def forget_all(self) -> None:
        """Drop all that is not stored."""
        self._done.clear()
        self._handed_out = None

    def begin_era(self) -> None:
        """Note a rebalance: what is handed out may be another's by now."""
        self.era += 1
        self._handed_out = None

    async def store(self, native: AIOKafkaConsumer) -> None:
        """Commit what is done, and forget it; an error is none, because what is not stored is read again."""
        self.store_at = time.monotonic() + STORE_SECONDS
        done = {TopicPartition(*place): offset for place, offset in self._done.items()}
        self._done.clear()
        if not done:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(CALL_SECONDS):
                await native.commit(done)
