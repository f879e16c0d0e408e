"""What every channel shares: a name, and the counting of what is published on it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar, NamedTuple, TypeVar

from labkit.brokers.client import BrokerClient
from labkit.errors import PublishRefused
from labkit.events import Kind, Meter
from labkit.message import Message

__all__ = ["Channel", "PublishMeters"]

Answer = TypeVar("Answer")


class PublishMeters(NamedTuple):
    """What counts one publisher's messages at one channel."""

    sent: Meter
    confirmed: Meter
    refused: Meter
    in_doubt: Meter
    unheard: Meter


class Channel:
    """One of a broker's own places to publish to or subscribe to."""

    kind: ClassVar[str]
    confirms: ClassVar[bool] = True
    """Whether the broker answers each message. Where it does not, a publish that returns says little."""

    def __init__(self, client: BrokerClient, name: str) -> None:
        self.client = client
        self.name = name
        self._meters: dict[str, PublishMeters | None] = {}

    @property
    def broker(self) -> str:
        """The name of the broker this channel belongs to."""
        return self.client.broker

    def meters(self, publisher: str) -> PublishMeters | None:
        """Return what counts this publisher's messages here, None if nobody wants to know."""
        try:
            return self._meters[publisher]
        except KeyError:
            return self._meters.setdefault(publisher, self._bind(publisher))

    def _bind(self, publisher: str) -> PublishMeters | None:
        kinds = (Kind.SENT, Kind.CONFIRMED, Kind.REFUSED, Kind.IN_DOUBT, Kind.UNHEARD)
        meters = [self.client.meter(kind, self.name, publisher) for kind in kinds]
        bound = [meter for meter in meters if meter is not None]
        return PublishMeters(*bound) if bound else None

    async def _observed(self, answer: Awaitable[Answer], message: Message, meters: PublishMeters) -> Answer:
        """Count the message as sent, then as confirmed, refused or in doubt, whatever the broker answers."""
        meters.sent(message)
        try:
            result = await answer
        except PublishRefused:
            meters.refused(message)
            raise
        except BaseException:  # no answer, or nobody waits for it any more
            meters.in_doubt(message)
            raise
        meters.confirmed(message)
        return result

    def _facts(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        facts = "".join(f", {name} {value}" for name, value in self._facts().items())
        return f"<{self.broker} {self.kind} {self.name!r}{facts}>"
