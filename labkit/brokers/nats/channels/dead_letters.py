"""Messages that a stream's consumers gave up, found by the advisories in which JetStream says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nats.aio.msg import Msg

from labkit.brokers.nats.channels.consumer import Consumer, PullSubscription
from labkit.brokers.nats.channels.stream_delivery import StreamDelivery, read
from labkit.brokers.nats.pulling import BATCH
from labkit.errors import NotFound
from labkit.events import Kind
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream

__all__ = ["DeadLetter", "DeadLetterSubscription", "DeadLetters", "advisories_of"]

ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER"


def advisories_of(stream: str) -> list[str]:
    """Return the subjects on which JetStream says that a consumer of this stream gave a message up."""
    return [f"{ADVISORY}.{what}.{stream}.*" for what in ("MAX_DELIVERIES", "MSG_TERMINATED")]


class DeadLetters:
    """A stream's dead letters. ``kept`` is the stream in which JetStream's advisories are kept."""

    def __init__(self, stream: Stream, kept: Stream) -> None:
        self.stream = stream
        self.kept = kept

    def subscribe(self, name: str, *, batch: int = BATCH) -> DeadLetterSubscription:
        """Return a subscriber, not yet open, that gets every dead letter kept, each until it acks."""
        return DeadLetterSubscription(self, name, batch)

    async def depth(self) -> int:
        """Return how many dead letters there were."""
        return await self.kept.depth()

    def __repr__(self) -> str:
        return f"<dead letters of {self.stream!r}>"


class DeadLetter(StreamDelivery):
    """One message that was given up.

    ``message`` is the message itself, looked up in the stream. Where it is no longer there, as on a work
    queue after ``term``, ``is_gone`` is true and ``message`` is the advisory. Acknowledge it when it is
    dealt with; the message in the stream stays as it is.
    """

    __slots__ = ("advisory", "is_gone")

    def __init__(self, delivery: StreamDelivery, original: Message | None) -> None:
        super().__init__(delivery.native, delivery._client, delivery._settled)
        self.advisory: dict[str, Any] = json.loads(delivery.native.data)
        """What JetStream said, as it said it."""
        self.is_gone = original is None
        self._message = original or read(delivery.native)

    @property
    def data(self) -> bytes:
        """The payload of the message, or of the advisory where that is gone."""
        return self.message.data

    @property
    def sequence(self) -> int:
        """The message's number in the stream where it was given up."""
        sequence: int = self.advisory["stream_seq"]
        return sequence

    @property
    def consumer(self) -> str:
        """The consumer that gave it up."""
        consumer: str = self.advisory["consumer"]
        return consumer

    @property
    def deliveries(self) -> int:
        """How often that consumer had delivered it."""
        deliveries: int = self.advisory["deliveries"]
        return deliveries

    @property
    def reason(self) -> str:
        """Why: what was said with ``term``, or that it was delivered too often."""
        if self.advisory["type"].endswith("max_deliver"):
            return "delivered too often"
        reason: str = self.advisory.get("reason") or "terminated"
        return reason


class DeadLetterSubscription(PullSubscription):
    """One subscriber of dead letters. Each is counted as dead-lettered, at the stream it was given up in."""

    def __init__(self, letters: DeadLetters, name: str, batch: int) -> None:
        super().__init__(Consumer(letters.kept, name), name, batch)
        self.letters = letters
        self._delivered = self.client.meter(Kind.DEAD_LETTERED, letters.stream.name, name)

    async def _subscribe(self) -> None:
        await self.consumer.declare()
        await super()._subscribe()

    async def _next(self) -> StreamDelivery | None:
        native = await self._next_native()
        if native is None:
            return None
        try:
            return DeadLetter(self._delivery(native), await self._look_up(native))
        except BaseException:
            self._put_back(native)
            raise

    async def _look_up(self, native: Msg) -> Message | None:
        try:
            return await self.letters.stream.get(json.loads(native.data)["stream_seq"])
        except NotFound:
            return None

    def _put_back(self, native: Msg) -> None:
        """Keep what could not be looked up, so that it is not lost to a subscriber that tries again."""
        assert self._native is not None
        self._wanted += 1
        self._native._pending_size += len(native.data)
        self._native._pending_queue.put_nowait(native)
