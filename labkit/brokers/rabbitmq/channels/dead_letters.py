"""Where RabbitMQ puts messages that a queue could not get rid of, with why it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from labkit.brokers.rabbitmq.channels.delivery import QueueDelivery
from labkit.brokers.rabbitmq.channels.queue import Queue, QueueSubscription
from labkit.events import Kind, Meter
from labkit.message import Message

__all__ = ["DeadLetter", "DeadLetterQueue", "DeadLetterSubscription"]


class DeadLetter(QueueDelivery):
    """A message that was put aside."""

    __slots__ = ()

    @property
    def reason(self) -> str:
        """Why it was put aside last: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``."""
        return reason_of(self.native)

    @property
    def origin(self) -> str:
        """The queue it was put aside from last."""
        return _last_death(self.native, "queue")

    @property
    def deaths(self) -> list[Mapping[str, Any]]:
        """RabbitMQ's own record: each queue and reason, newest first, with how often and when."""
        return list(self.native.headers.get("x-death", ()))


class DeadLetterQueue(Queue):
    """A queue that dead letters go to. Whoever subscribes is told why they died."""

    kind = "dead letters"

    def subscribe(
        self, name: str, *, prefetch: int = 100, arguments: Mapping[str, Any] | None = None
    ) -> DeadLetterSubscription:
        """Return a subscriber called ``name``, not yet open; it counts as dead-lettered what it takes."""
        return DeadLetterSubscription(self, name, prefetch, arguments or {})


class DeadLetterSubscription(QueueSubscription):
    """One subscriber of dead letters. They are counted as dead-lettered or expired, not as delivered."""

    def __init__(self, queue: Queue, name: str, prefetch: int, arguments: Mapping[str, Any]) -> None:
        super().__init__(queue, name, prefetch, arguments)
        meter = queue.client.meter
        dead, expired = (meter(kind, queue.name, name) for kind in (Kind.DEAD_LETTERED, Kind.EXPIRED))
        if dead is not None and expired is not None:
            self._delivered = self._redelivered = _by_reason(dead, expired)

    def _deliver(self, native: AbstractIncomingMessage) -> DeadLetter:
        return DeadLetter(native, self)

    async def __anext__(self) -> DeadLetter:
        delivery = await super().__anext__()
        assert isinstance(delivery, DeadLetter)
        return delivery


def reason_of(native: AbstractIncomingMessage) -> str:
    """Return why a message was dead-lettered last; empty if it never was."""
    return _last_death(native, "reason")


def _by_reason(dead: Meter, expired: Meter) -> Meter:
    def count(message: Message) -> None:
        (expired if reason_of(message.native) == "expired" else dead)(message)

    return count


def _last_death(native: AbstractIncomingMessage, what: str) -> str:
    # RabbitMQ 3.10 and later say it in a header of its own; x-death holds the newest first.
    told = native.headers.get(f"x-last-death-{what}")
    deaths: Any = native.headers.get("x-death")
    return str(told or (deaths[0][what] if deaths else ""))
