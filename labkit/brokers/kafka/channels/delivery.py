"""One record of a topic, in the hands of a subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]

from labkit.brokers.delivery import OpenDelivery
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.kafka.channels.subscription import TopicSubscription

__all__ = ["TopicDelivery"]


class TopicDelivery(OpenDelivery):
    """One message of a topic. Kafka never says whether it was delivered before.

    A commit is a position, not an answer about one message: it says that this one and everything before it in
    its partition is done. To give it back means to go back there: it comes again, and all that follow it.
    """

    __slots__ = ("_subscription", "era")

    def __init__(self, native: ConsumerRecord, subscription: TopicSubscription, era: int) -> None:
        # Not through super(): a third of the time that a message costs us would go there.
        self.native = native
        self.redelivered = None
        self.is_settled = False
        self._read = _read
        self._message = None
        self._subscription = subscription
        self.era = era
        """How many rebalances the subscriber had seen when it got this."""

    @property
    def data(self) -> bytes:
        """The payload as sent; empty where there is none."""
        return self.native.value or b""

    @property
    def partition(self) -> int:
        """The partition it is in."""
        return int(self.native.partition)

    @property
    def offset(self) -> int:
        """Its number in its partition."""
        return int(self.native.offset)

    @property
    def timestamp(self) -> float:
        """When it was published, in seconds since 1970, as its publisher says."""
        return float(self.native.timestamp / 1000)

    @property
    def place(self) -> TopicPartition:
        """The topic and partition it is in, in aiokafka's words."""
        return TopicPartition(self.native.topic, self.native.partition)

    @property
    def position(self) -> dict[TopicPartition, int]:
        """The position of a group that is done with it: what is to be committed."""
        return {self.place: self.native.offset + 1}

    @property
    def group(self) -> str:
        """The consumer group that it was delivered to."""
        return self._subscription.group

    async def commit(self) -> None:
        """Store, as the group's place, that this message and those before it in its partition are done.

        Raises ``SettleFailed`` if a rebalance gave the partition away meanwhile, or Kafka does not answer:
        then it comes again, here or elsewhere.
        """
        if not self.is_settled:
            await self._subscription.commit(self)
            self.is_settled = True

    async def ack(self) -> None:
        """Do ``commit()``."""
        await self.commit()

    async def give_back(self) -> None:
        """Go back to this message: it comes again, and all after it in its partition.

        With ``dead_letters`` it is put aside instead once it was given back often enough.
        """
        if not self.is_settled:
            self.is_settled = True
            await self._subscription.give_back(self)

    async def put_aside(self, reason: str = "") -> None:
        """Publish it, with where it came from and why, to the dead letters, and commit.

        Raises ``PublishFailed`` or ``SettleFailed``; it is never lost, at worst it is in both places.
        """
        await self._subscription.put_aside(self, reason)
        self.is_settled = True

    def require_current(self) -> None:
        """Raise ``SettleFailed`` if it can be committed no more."""
        self._subscription.require_current(self)

    def note_settled(self) -> None:
        """Take note that a transaction committed its position."""
        self.is_settled = True
        self._subscription.note_settled(self)


def _read(native: ConsumerRecord) -> Message:
    headers = {name: _text(value or b"") for name, value in native.headers} if native.headers else None
    key = None if native.key is None else _text(native.key)
    return Message(native.value or b"", native.topic, key, headers, native)


def _text(data: bytes) -> str:
    """Return what somebody else may have written: keys and headers are bytes to Kafka."""
    return data.decode(errors="backslashreplace")
