"""What a test needs to know of a kind of channel: how one subscribes to it, and what it claims."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from labkit.brokers import new_client
from labkit.brokers.subscription import Subscription
from labkit.events import Observer, Place
from labkit.feed import Feed
from tests.support import unique

__all__ = ["ChannelKind"]


class ChannelKind(ABC):
    """One kind of channel under test, with a name of its own on a shared broker."""

    broker: ClassVar[str]
    confirms: ClassVar[bool] = True
    keeps_for_the_absent: ClassVar[bool]
    """Whether a subscriber that went away finds, when it comes back, what was published meanwhile."""
    keeps_over_a_kill: ClassVar[bool]
    """Whether what the broker confirmed is delivered though the broker got SIGKILL before it could be."""

    def __init__(self, url: str, observer: Observer | None = None) -> None:
        self.feed = Feed()
        self.client: Any = new_client(self.broker, url, observer or self.feed)
        self.name = unique("orders")

    async def open(self) -> None:
        await self.client.open()

    @abstractmethod
    async def publish(self, number: int) -> None: ...

    @abstractmethod
    async def subscription(self, name: str) -> Subscription[Any]:
        """Return a new subscription, not yet open."""

    async def subscribe(self, name: str) -> tuple[Subscription[Any], list[int]]:
        """Open a subscription, and return it with the list its numbers are put into."""
        received: list[int] = []
        subscription = await (await self.subscription(name)).open()
        subscription.run(lambda delivery: received.append(delivery.value))
        return subscription, received

    @property
    def publisher(self) -> Place:
        return Place(self.broker, self.name, "shop")
