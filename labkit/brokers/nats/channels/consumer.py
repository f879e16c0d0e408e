"""JetStream's consumers: a place in a stream, kept for whoever reads it, and moved by acknowledgements."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from nats.aio.msg import Msg
from nats.js import api

from labkit.brokers.nats.channels.stream_delivery import StreamDelivery
from labkit.brokers.nats.denials import publishing
from labkit.brokers.nats.errors import NATIVE, asking
from labkit.brokers.nats.listening import NatsSubscription
from labkit.brokers.nats.pulling import BATCH, Pulling
from labkit.errors import Conflict

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream

__all__ = [
    "Consumer",
    "ConsumerSubscription",
    "Mode",
    "PullSubscription",
    "PushSubscription",
    "Start",
    "starting",
]

Mode = Literal["pull", "push"]
Start = Literal["all", "new", "last", "last_per_subject"] | int | float
"""Where to begin: a word, a message's number (int), or a time in seconds since 1970 (float)."""


class Consumer:
    """A durable consumer of a stream. Its subscribers share the messages; each is acknowledged by itself."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.stream = stream
        self.name = name
        self.config = api.ConsumerConfig()
        """How JetStream has it, in nats-py's words."""

    @property
    def mode(self) -> Mode:
        """Whether subscribers ask for messages (pull), or JetStream sends them as they come (push)."""
        return "push" if self.config.deliver_subject else "pull"

    async def declare(
        self,
        *,
        mode: Mode = "pull",
        ack_wait: float = 30.0,
        max_deliver: int = -1,
        max_ack_pending: int = 1000,
        start: Start = "all",
        filter: str | Sequence[str] = (),
        backoff: Sequence[float] = (),
        deliver_group: str = "",
        **native: Any,
    ) -> None:
        """Make the consumer, or change it to be so. Raises ``Conflict`` if JetStream cannot change it so.

        A message that is not acknowledged within ``ack_wait`` seconds comes again, at most ``max_deliver``
        times in all (-1: without end); ``backoff`` gives these times one by one instead. No more than
        ``max_ack_pending`` are unacknowledged at once. ``filter`` is one of the stream's subjects or several.
        The subscribers of a push consumer share its messages only if it has a ``deliver_group``. ``native``
        goes into nats-py's ``ConsumerConfig`` as it is.
        """
        filters = [filter] if isinstance(filter, str) else list(filter)
        if start == "last_per_subject" and not filters:
            filters = [">"]  # JetStream wants to be told of which subjects
        config = api.ConsumerConfig(
            name=self.name,
            durable_name=self.name,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=None if backoff else ack_wait,
            max_deliver=max_deliver,
            max_ack_pending=max_ack_pending,
            backoff=list(backoff) or None,
            filter_subject=filters[0] if len(filters) == 1 else None,
            filter_subjects=filters if len(filters) > 1 else None,
            deliver_subject=f"_INBOX.{self.stream.name}.{self.name}" if mode == "push" else None,
            deliver_group=deliver_group or None,
            **starting(start),
        ).evolve(**native)
        async with self._asking("make", "CREATE", "."):
            info = await self.stream.client.jetstream.add_consumer(self.stream.name, config)
        self.config = info.config

    async def info(self) -> api.ConsumerInfo:
        """Return what JetStream knows of it: ``num_pending`` not sent yet, ``num_ack_pending`` unacked."""
        async with self._asking("tell about", "INFO"):
            info: api.ConsumerInfo = await self.stream.client.jetstream.consumer_info(
                self.stream.name, self.name
            )
        self.config = info.config
        return info

    async def delete(self) -> None:
        """Remove it, with its place in the stream. Raises ``NotFound``."""
        async with self._asking("delete", "DELETE"):
            await self.stream.client.jetstream.delete_consumer(self.stream.name, self.name)

    def _asking(self, what: str, call: str, more: str = "") -> Any:
        act = publishing(f"$JS.API.CONSUMER.{call}.{self.stream.name}.{self.name}")
        return asking(
            f"JetStream did not {what} the consumer {self.name!r} of {self.stream.name!r}",
            "check the name (no spaces, dots or wildcards), the settings, and that it exists",
            self.stream.client.denials,
            act,
            act + more,
        )

    def subscribe(self, name: str = "", *, batch: int = BATCH) -> ConsumerSubscription:
        """Return a subscriber called ``name`` (else as the consumer), not yet open.

        A pull consumer's asks for up to ``batch`` messages at a time, when it has none left. ``batch`` means
        nothing to a push consumer, to which JetStream sends up to ``max_ack_pending``.
        """
        if self.mode == "push":
            return PushSubscription(self, name or self.name)
        return PullSubscription(self, name or self.name, batch)

    def __repr__(self) -> str:
        return f"<nats {self.mode} consumer {self.name!r} of {self.stream.name!r}>"


def starting(start: Start) -> dict[str, Any]:
    """Return the consumer's settings that make it begin there."""
    if isinstance(start, str):
        return {"deliver_policy": api.DeliverPolicy(start)}
    if isinstance(start, int):
        return {"deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": start}
    return {
        "deliver_policy": api.DeliverPolicy.BY_START_TIME,
        "opt_start_time": datetime.fromtimestamp(start, UTC),
    }


class ConsumerSubscription(NatsSubscription[StreamDelivery]):
    """One subscriber of a consumer."""

    def __init__(self, consumer: Consumer, name: str) -> None:
        wanted = consumer.config.filter_subject or ", ".join(consumer.config.filter_subjects or ())
        super().__init__(consumer.stream, name, consumer.stream.client, filter=wanted)
        self.consumer = consumer

    def _delivery(self, native: Msg) -> StreamDelivery:
        return StreamDelivery(native, self.client, self._settled)

    def _settle(self, delivery: StreamDelivery) -> Awaitable[None]:
        return delivery.ack()

    async def _unsubscribe(self) -> None:
        await self._stop_coming()
        await self._give_back_waiting()
        await super()._unsubscribe()

    async def vanish(self) -> None:
        """Go as a program that was killed goes: nothing is acknowledged, and nothing given back.

        What JetStream had sent comes again when ``ack_wait`` is over. Nobody's interest is left at the
        server, as when a connection breaks; this program's own connection stays, because others use it.
        """
        if not self._is_open:
            return
        self._is_open = False
        self.client.release(self)
        await self._end_worker()
        await NatsSubscription._unsubscribe(self)

    async def _give_back_waiting(self) -> None:
        """Give back what the subscriber never saw, so that others need not wait for ``ack_wait``."""
        queue = self._native._pending_queue if self._native is not None else None
        with suppress(*NATIVE):
            while queue is not None and not queue.empty():
                native = queue.get_nowait()
                queue.task_done()
                if native is not None and native.reply:
                    await native.nak()


class PushSubscription(ConsumerSubscription):
    """A subscriber to whom JetStream sends messages as they come."""

    async def _subscribe(self) -> None:
        info = await self.consumer.info()
        config = info.config
        if info.push_bound and not config.deliver_group:
            raise Conflict(
                f"Somebody else is subscribed to the push consumer {self.consumer.name!r}.",
                broker="nats",
                remedy="give the consumer a deliver_group to share its messages, or make one consumer each",
            )
        assert config.deliver_subject is not None
        await self._listen(config.deliver_subject, config.deliver_group or "")

    def _at_hand(self) -> StreamDelivery | None:
        native = self._take_now()
        return None if native is None else StreamDelivery(native, self.client, self._settled)

    async def _next(self) -> StreamDelivery | None:
        while True:
            native = await self._take()
            if native is not None:
                return self._delivery(native)
            if self._is_ending:
                return None


class PullSubscription(Pulling[StreamDelivery], ConsumerSubscription):
    """A subscriber that asks JetStream for messages when it has none left."""

    def __init__(self, consumer: Consumer, name: str, batch: int) -> None:
        ConsumerSubscription.__init__(self, consumer, name)
        self.batch = batch
        self._asked = consumer.name

    async def _subscribe(self) -> None:
        await self.consumer.info()  # raises NotFound, which nobody else would say at once
        self._wanted = 0
        await self._listen(self.client.native.new_inbox())

    async def _next(self) -> StreamDelivery | None:
        native = await self._next_native()
        return None if native is None else self._delivery(native)
