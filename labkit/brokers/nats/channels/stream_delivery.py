"""A message that a stream delivered, and what can be said to JetStream about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nats.aio.msg import Msg

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.delivery import Delivery, OpenDelivery
from labkit.brokers.nats.errors import NATIVE, reason
from labkit.errors import SettleFailed
from labkit.events import Meter
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.nats.client import NatsClient

__all__ = ["StoredDelivery", "StreamDelivery", "attempt_of", "read"]


def attempt_of(native: Msg) -> int:
    """Return how often JetStream has delivered this message, this time included."""
    # $JS.ACK.stream.consumer.ATTEMPT.sequence.sequence.time.pending; where there are domains, there are two
    # more words before the stream, and sometimes one at the end.
    reply = native.reply
    return int(reply.rsplit(".", 6 if reply.count(".") > 10 else 5)[1])


def read(native: Msg) -> Message:
    """Return the message in the lab's own words."""
    return Message(native.data, native.subject, None, native.headers, native)


class StoredDelivery(Delivery):
    """A message that was read from a stream. Nothing is acknowledged."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        data: bytes = self.native.data
        return data

    @property
    def sequence(self) -> int:
        """The message's number in the stream, from 1."""
        sequence: int = self.native.metadata.sequence.stream
        return sequence

    @property
    def timestamp(self) -> float:
        """When JetStream stored it, in seconds since 1970."""
        stored: float = self.native.metadata.timestamp.timestamp()
        return stored

    @property
    def remaining(self) -> int:
        """How many messages this consumer has before it, when this one was sent."""
        remaining: int = self.native.metadata.num_pending
        return remaining


class StreamDelivery(StoredDelivery, OpenDelivery):
    """A message that JetStream delivers again unless it hears about it within ``ack_wait``.

    An acknowledgement is a message that nobody answers: it is sent, and ``ack_sync`` alone waits until
    JetStream has it.
    """

    __slots__ = ("_client", "_settled")

    def __init__(self, native: Msg, client: NatsClient, settled: Meter | None) -> None:
        # Not through super(): a third of the time that a message costs us would go there.
        self.native = native
        self.is_settled = False
        self._read = read
        self._message = None
        self._client = client
        self._settled = settled

    @property
    def redelivered(self) -> bool:  # type: ignore[override]  # found out when somebody wants to know
        """Whether it was delivered before."""
        return attempt_of(self.native) > 1

    @property
    def attempt(self) -> int:
        """How often it was delivered, this time included."""
        return attempt_of(self.native)

    async def ack(self) -> None:
        """Tell JetStream that this message is done with. Raises ``SettleFailed`` if that cannot be sent."""
        if self.is_settled:
            return
        try:  # as in _say, without the call: this is done for every message
            await self._client.native.publish(self.native.reply)
        except NATIVE as error:
            raise self._failed(error) from error
        self.is_settled = True
        if self._settled is not None:
            self._settled(self.message)

    async def ack_sync(self) -> None:
        """Do the same, and wait until JetStream has it. Raises ``SettleFailed`` if it does not say so.

        JetStream takes it late, too, as long as it has the consumer and the message is not done with.
        """
        if self.is_settled:
            return
        try:
            await self._client.native.request(self.native.reply, timeout=CALL_SECONDS)
        except NATIVE as error:
            raise self._failed(error) from error
        self.is_settled = True
        if self._settled is not None:
            self._settled(self.message)

    async def nak(self, delay: float | None = None) -> None:
        """Give it back: it comes again at once, or after ``delay`` seconds."""
        if not self.is_settled:
            await self._say(b'-NAK {"delay": %d}' % int(delay * 1e9) if delay else b"-NAK")

    async def term(self, why: str = "") -> None:
        """Refuse it for good: it never comes again. ``why`` stands in the advisory that dead letters read."""
        if not self.is_settled:
            await self._say(f"+TERM {why}".strip().encode())

    async def in_progress(self) -> None:
        """Say that it is still worked on: ``ack_wait`` begins anew."""
        await self._say(b"+WPI", settles=False)

    async def give_back(self) -> None:
        await self.nak()

    async def _say(self, words: bytes, *, settles: bool = True) -> None:
        try:
            await self._client.native.publish(self.native.reply, words)
        except NATIVE as error:
            raise self._failed(error) from error
        if settles:
            self.is_settled = True

    def _failed(self, error: BaseException) -> SettleFailed:
        return SettleFailed(
            f"JetStream was not told about message {self.sequence}: {reason(error)}.",
            broker="nats",
            remedy="wait: unless JetStream heard it all the same, the message comes again after ack_wait",
        )
