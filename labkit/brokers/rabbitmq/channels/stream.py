"""RabbitMQ's streams: a log that everybody reads from where they like."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from labkit.brokers.delivery import Delivery
from labkit.brokers.rabbitmq.channels.any_queue import AnyQueue
from labkit.brokers.rabbitmq.channels.consuming import Consuming, read_message

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Start", "Stream", "StreamDelivery", "StreamOptions", "StreamSubscription", "stream_arguments"]

Start = Literal["first", "last", "next"] | int | datetime
"""Where to begin: the oldest kept, the newest chunk, what comes from now on, an offset, or a time."""
OFFSET = "x-stream-offset"


class StreamOptions(TypedDict, total=False):
    """What ``client.stream`` takes by name. A stream drops whole segments, and never the newest."""

    max_bytes: int
    max_age: float
    """Seconds. RabbitMQ looks when a segment is full, so with small messages nothing goes for long."""
    max_segment_bytes: int


def stream_arguments(options: StreamOptions) -> dict[str, Any]:
    """Return RabbitMQ's arguments for these options."""
    arguments: dict[str, Any] = {"x-queue-type": "stream"}
    if "max_bytes" in options:
        arguments["x-max-length-bytes"] = options["max_bytes"]
    if "max_age" in options:
        arguments["x-max-age"] = f"{max(1, round(options['max_age']))}s"
    if "max_segment_bytes" in options:
        arguments["x-stream-max-segment-size-bytes"] = options["max_segment_bytes"]
    return arguments


class Stream(AnyQueue):
    """A RabbitMQ stream. Reading takes nothing away; what is old goes by size or age.

    RabbitMQ remembers no reader's place for AMQP clients: keep ``delivery.offset``, and start after it.
    """

    kind = "stream"

    def __init__(self, client: RabbitmqClient, name: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(client, name)
        self.arguments = dict(arguments)
        self.bindings = []

    def subscribe(
        self,
        name: str,
        *,
        start: Start = "next",
        prefetch: int = 100,
        arguments: Mapping[str, Any] | None = None,
    ) -> StreamSubscription:
        """Return a reader called ``name``, not yet open, that begins at ``start``.

        A time begins with the chunk of messages that was written then, and ``last`` with the newest chunk:
        some messages may be older. After a broken connection the reader goes on where it was; one that had
        begun with ``next`` and seen nothing goes on from the time it subscribed.
        ``arguments`` are RabbitMQ's own.
        """
        return StreamSubscription(self, name, start, prefetch, arguments or {})

    def _facts(self) -> dict[str, Any]:
        return {}


class StreamDelivery(Delivery):
    """A message read from a stream. There is nothing to settle: the reader's place is its own business."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native.body)

    @property
    def offset(self) -> int:
        """Its place in the stream, from 0."""
        offset: int = self.native.headers[OFFSET]
        return offset

    @property
    def timestamp(self) -> datetime | None:
        """When it was made, as the publisher says."""
        timestamp: datetime | None = self.native.timestamp
        return timestamp


class StreamSubscription(Consuming[StreamDelivery]):
    """One reader of a stream."""

    channel: Stream

    def __init__(
        self, stream: Stream, name: str, start: Start, prefetch: int, arguments: Mapping[str, Any]
    ) -> None:
        super().__init__(stream, name, prefetch, {**arguments, OFFSET: start})
        self.start = start
        self._subscribed_at = datetime.now(UTC)

    def _deliver(self, native: AbstractIncomingMessage) -> StreamDelivery:
        return StreamDelivery(native, read_message, redelivered=False)

    async def _subscribe(self) -> None:
        self._subscribed_at = datetime.now(UTC)
        await super()._subscribe()

    def _forget_undelivered(self, *_: object) -> None:
        super()._forget_undelivered()
        if self._arguments[OFFSET] == "next":  # "next" again would leave out what came meanwhile
            self._arguments[OFFSET] = self._subscribed_at

    async def _next(self) -> StreamDelivery | None:
        delivery = await super()._next()
        if delivery is not None:
            await self._go_on_after(delivery)
        return delivery

    async def _go_on_after(self, delivery: StreamDelivery) -> None:
        # aio-pika holds this very dictionary, and subscribes with it again after a broken connection.
        self._arguments[OFFSET] = delivery.offset + 1
        with suppress(ChannelInvalidStateError):  # a new subscription has new credit
            # No more than credit: it lets RabbitMQ send the next one.
            await delivery.native.channel.basic_ack(delivery.native.delivery_tag, wait=False)
