"""Asking where a topic's partitions begin and end, and what was when."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.kafka.consumer import stop_consumer
from labkit.brokers.kafka.errors import asking

if TYPE_CHECKING:
    from labkit.brokers.kafka.address import Address

__all__ = ["Onlooker", "Span", "When", "milliseconds"]

When = datetime.datetime | float
"""A moment: a date with its time zone, or seconds since 1970."""


class Span(NamedTuple):
    """The offsets a partition holds: from ``begin`` on, up to and without ``end``."""

    begin: int
    end: int


class Onlooker:
    """Asks about offsets. It reads nothing, and belongs to no group."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._native: AIOKafkaConsumer | None = None

    async def spans(self, topic: str, partitions: Iterable[int]) -> dict[int, Span]:
        """Return where each partition begins and ends now."""
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        async with asking(
            f"Kafka did not tell the offsets of {topic!r}", "check that topic and broker are there"
        ):
            native = await self._ready(topic)
            begins = await native.beginning_offsets(wanted)
            ends = await native.end_offsets(wanted)
        return {place.partition: Span(begins[place], ends[place]) for place in wanted}

    async def at(self, when: When, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return, for each partition, the offset of its first message from this moment on, or its end."""
        wanted = {TopicPartition(topic, partition): milliseconds(when) for partition in partitions}
        async with asking(
            f"Kafka did not tell the offsets of {topic!r}", "check that topic and broker are there"
        ):
            native = await self._ready(topic)
            found = await native.offsets_for_times(wanted)
            ends = await native.end_offsets(list(wanted))
        return {
            place.partition: ends[place] if found.get(place) is None else found[place].offset
            for place in wanted
        }

    async def close(self) -> None:
        """Close the connection, if one was made."""
        native, self._native = self._native, None
        if native is not None:
            await stop_consumer(native)

    async def _ready(self, topic: str) -> AIOKafkaConsumer:
        if self._native is None:
            native = AIOKafkaConsumer(**self._address.options(), request_timeout_ms=int(CALL_SECONDS * 1000))
            try:
                await native.start()
            except BaseException:
                await stop_consumer(native)
                raise
            self._native = native
        # aiokafka asks for offsets again and again, also of a forbidden topic; this says what is wrong.
        await self._native._client._wait_on_metadata(topic)
        return self._native


def milliseconds(when: When) -> int:
    """Return a moment as Kafka counts it."""
    seconds = when.timestamp() if isinstance(when, datetime.datetime) else when
    return int(seconds * 1000)
