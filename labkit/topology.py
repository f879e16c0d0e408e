"""What a live picture shows, as words: who publishes, on what, who subscribes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labkit.events import Place

__all__ = [
    "ChannelLike",
    "Depth",
    "Lane",
    "LaneQueue",
    "LaneSubscriber",
    "SubscriberLike",
    "SubscriptionLike",
]

Depth = Callable[[], Awaitable[int]]
"""Asks the broker how many messages wait in a queue."""


class ChannelLike(Protocol):
    """What a lane needs to know of a channel."""

    name: str

    @property
    def kind(self) -> str: ...

    @property
    def broker(self) -> str: ...


class SubscriptionLike(Protocol):
    """What a lane needs to know of a subscription."""

    name: str
    channel: Any
    filter: str

    @property
    def is_open(self) -> bool: ...


class SubscriberLike(Protocol):
    """Somebody who may leave and come back with another subscription."""

    subscription: Any


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """A queue between channel and subscriber. Two subscribers with an equal queue share it.

    ``depth`` asks the broker how many messages wait there; None if the picture shall not say.
    """

    name: str
    depth: Depth | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LaneSubscriber:
    """Somebody who subscribes. ``filter`` is what the picture writes below the name.

    ``listens`` tells whether they are subscribed now; None if that is not known.
    """

    name: str
    filter: str = ""
    queue: LaneQueue | None = None
    listens: Callable[[], bool] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Lane:
    """One broker's row of the picture: publishers, a channel, and who listens to it.

    ``kind`` and ``name`` are what the hub in the middle says ("topic exchange", "orders"). ``channels`` are
    the channels whose messages this lane counts, none for all of the broker's; ``*`` in one stands for any
    text. ``confirms`` is whether the broker answers each message at all.
    """

    broker: str
    kind: str
    name: str
    subscribers: tuple[LaneSubscriber, ...] = ()
    publishers: tuple[str, ...] = ("shop",)
    channels: tuple[str, ...] = ()
    confirms: bool = True

    @classmethod
    def of(
        cls,
        channel: ChannelLike,
        *subscribers: SubscriptionLike | SubscriberLike,
        publishers: Sequence[str] = ("shop",),
    ) -> Lane:
        """Return the lane of real objects: what is published on, and who subscribes, now or later.

        A subscriber is a subscription, open or not, or whoever has one as ``.subscription``.

        For NATS and Redis the channel may be a wildcard ("orders.*"): what is published on any channel that
        fits is counted.
        """
        heard = [channel.name, *(_subscription(one).channel.name for one in subscribers)]
        return cls(
            broker=channel.broker,
            kind=_kind_of(channel),
            name=channel.name,
            subscribers=tuple(_subscriber_of(one, channel) for one in subscribers),
            publishers=tuple(publishers),
            channels=tuple(dict.fromkeys(_any_text(name) for name in heard)),
            confirms=getattr(channel, "confirms", True),
        )

    @property
    def queues(self) -> tuple[LaneQueue, ...]:
        """The queues of this lane, each once, in the order of their subscribers."""
        return tuple(dict.fromkeys(one.queue for one in self.subscribers if one.queue is not None))

    def counts(self, place: Place) -> bool:
        """Whether what happens at ``place`` belongs to this lane."""
        if place.broker != self.broker:
            return False
        return not self.channels or any(_fits(name, place.channel) for name in self.channels)


def _kind_of(channel: ChannelLike) -> str:
    routing = getattr(channel, "exchange_kind", "")
    return f"{routing} {channel.kind}".strip()


def _subscription(one: Any) -> SubscriptionLike:
    subscription: SubscriptionLike = getattr(one, "subscription", one)
    return subscription


def _subscriber_of(one: Any, hub: ChannelLike) -> LaneSubscriber:
    subscription = _subscription(one)
    channel = subscription.channel
    queue = LaneQueue(channel.name, channel.depth) if channel.kind == "queue" else None
    # Subscribed to something else than the picture's hub shows, a subscriber's own channel is its filter.
    own_channel = "" if queue or channel.name == hub.name else channel.name
    # Asked anew each time: who comes back has another subscription.
    return LaneSubscriber(
        subscription.name,
        subscription.filter or own_channel,
        queue,
        listens=lambda: _subscription(one).is_open,
    )


def _any_text(name: str) -> str:
    # NATS writes "all that follows" as ">".
    return f"{name[:-1]}*" if name.endswith(".>") or name == ">" else name


def _fits(pattern: str, channel: str) -> bool:
    words = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(words), channel) is not None
