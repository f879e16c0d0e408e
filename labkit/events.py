"""What happens to messages, as words. Clients report these; the feed counts them; widgets draw them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

from labkit.message import Message

__all__ = ["Event", "Kind", "Meter", "Observer", "Place"]


class Kind(StrEnum):
    """One thing that can happen to a message."""

    SENT = "sent"  # handed to the client library
    CONFIRMED = "confirmed"  # the broker said it has it (where a broker says so at all)
    REFUSED = "refused"  # certainly not accepted
    IN_DOUBT = "in doubt"  # sent, and no answer came where one should: nobody knows
    UNHEARD = "unheard"  # the broker told us that nobody was listening
    DELIVERED = "delivered"  # reached a subscriber
    REDELIVERED = "redelivered"  # reached a subscriber again, and the broker says so
    SETTLED = "settled"  # the subscriber said it is done with it
    DEAD_LETTERED = "dead-lettered"  # put aside: refused by a subscriber, or delivered too often
    EXPIRED = "expired"  # put aside or dropped because it had become too old


class Place(NamedTuple):
    """Where something happened: a client (publisher or subscriber) at one channel of one broker."""

    broker: str
    channel: str
    client: str

    def __str__(self) -> str:
        return "/".join(self)


class Event(NamedTuple):
    """One sampled happening. ``at`` is ``time.perf_counter()`` in seconds."""

    kind: Kind
    place: Place
    at: float
    message: Message


Meter = Callable[[Message], None]
"""Called once for each message; cheap, never blocks, never raises."""


class Observer(Protocol):
    """Whoever wants to know what happens to messages. Bind a meter once, call it a million times."""

    def meter(self, kind: Kind, place: Place) -> Meter:
        """Return the callable to call for each message of this kind at this place."""
        ...
