"""Reading a stream in order without acknowledging: to replay what is stored, or to follow what comes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nats.aio.msg import Msg
from nats.js import api

from labkit.brokers.nats.channels.consumer import Start, starting
from labkit.brokers.nats.channels.stream_delivery import StoredDelivery, read
from labkit.brokers.nats.denials import publishing
from labkit.brokers.nats.errors import NATIVE, asking
from labkit.brokers.nats.pulling import Pulling
from labkit.errors import NotFound

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream

__all__ = ["OrderedSubscription"]

FORGOTTEN_SECONDS = 60.0
"""JetStream removes a reader's consumer that asks nothing for so long. The reader then makes another."""


class OrderedSubscription(Pulling[StoredDelivery]):
    """A reader of a stream. Its consumer lives in memory; lost, it is made anew behind what was read.

    Not nats-py's ordered consumer: that finds out only after ten seconds that the broker was restarted.
    """

    channel: Stream

    def __init__(self, stream: Stream, name: str, start: Start, filter: str, *, is_finite: bool) -> None:
        super().__init__(stream, name, stream.client, filter=filter)
        self.start = start
        self.is_finite = is_finite
        self._read = 0
        """The number of the last message handed out."""
        self._received = 0
        """How many messages came from the present consumer."""

    async def _subscribe(self) -> None:
        self._read = 0
        await self._begin()
        await self._listen(self.client.native.new_inbox())

    async def _begin(self) -> None:
        """Make a consumer that begins behind what was read."""
        what = f"JetStream did not let {self.name} read the stream {self.channel.name!r}"
        name = self.client.native._nuid.next().decode()
        config = api.ConsumerConfig(
            name=name,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=FORGOTTEN_SECONDS,
            filter_subject=self.filter or None,
            **starting(self._read + 1 if self._read else self.start),
        )
        act = publishing(f"$JS.API.CONSUMER.CREATE.{self.channel.name}.")
        async with asking(what, "check that the stream exists, and the start", self.client.denials, act):
            await self.client.jetstream.add_consumer(self.channel.name, config)
        self._asked, self._received, self._wanted = name, 0, 0

    async def _next(self) -> StoredDelivery | None:
        while True:
            try:
                native = await self._next_native()
            except NotFound:  # the broker was restarted, or the reader was away too long
                await self._begin()
                continue
            if native is None:
                return None
            if await self._is_next(native):
                return StoredDelivery(native, read)

    async def _is_next(self, native: Msg) -> bool:
        """Return whether this is the message to hand out; begin anew if one before it was missed."""
        told = native.metadata
        if told.consumer != self._asked:
            return False  # still on its way from an earlier consumer
        self._received += 1
        if told.sequence.consumer != self._received:
            await self._begin()
            return False
        self._read = told.sequence.stream
        return True

    def _terms(self) -> dict[str, Any]:
        return {"no_wait": True} if self.is_finite else super()._terms()

    def _goes_on(self, native: Msg) -> bool:
        caught_up = self.is_finite and (native.headers or {}).get("Status") == "404"
        return super()._goes_on(native) and not caught_up

    async def _unsubscribe(self) -> None:
        await super()._unsubscribe()
        if self.client.is_connected:
            with suppress(*NATIVE):  # JetStream removes it by itself
                await self.client.jetstream.delete_consumer(self.channel.name, self._asked)
