"""The channel kinds that the contract is about, each with the few words in which they differ.

A test says what every kind must show; a kind says how one subscribes to it and what it claims.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from labkit.brokers import new_client
from labkit.brokers.subscription import Subscription
from labkit.events import Observer, Place
from labkit.feed import Feed
from tests.support import unique

__all__ = ["KINDS", "ChannelKind"]


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


class NatsSubject(ChannelKind):
    broker = "nats"
    confirms = False
    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def publish(self, number: int) -> None:
        await self.client.subject(self.name).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return self.client.subject(self.name).subscribe(name)


class RabbitmqExchange(ChannelKind):
    """An exchange with a durable queue for each subscriber."""

    broker = "rabbitmq"
    keeps_for_the_absent = True
    keeps_over_a_kill = True

    async def publish(self, number: int) -> None:
        exchange = await self.client.exchange(self.name, "fanout")
        await exchange.publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        exchange = await self.client.exchange(self.name, "fanout")
        queue = await self.client.queue(f"{self.name}.{name}", bind=(exchange, ""))
        return queue.subscribe(name)


class RabbitmqExclusive(RabbitmqExchange):
    """An exchange with an exclusive queue for each subscriber, which goes when it leaves."""

    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def subscription(self, name: str) -> Subscription[Any]:
        exchange = await self.client.exchange(self.name, "fanout")
        queue = await self.client.queue(f"{self.name}.{name}", bind=(exchange, ""), exclusive=True)
        return queue.subscribe(name)


class RedisChannel(ChannelKind):
    broker = "redis"
    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def publish(self, number: int) -> None:
        await self.client.channel(self.name).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return self.client.channel(self.name).subscribe(name)


class KafkaTopic(ChannelKind):
    """A topic with a consumer group for each subscriber."""

    broker = "kafka"
    keeps_for_the_absent = True
    keeps_over_a_kill = True

    async def open(self) -> None:
        await super().open()
        await self.client.topic(self.name)

    async def publish(self, number: int) -> None:
        await (await self.client.topic(self.name)).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return (await self.client.topic(self.name)).subscribe(name, group=f"{self.name}.{name}")


KINDS: dict[str, type[ChannelKind]] = {
    "nats-subject": NatsSubject,
    "rabbitmq-exchange": RabbitmqExchange,
    "rabbitmq-exclusive": RabbitmqExclusive,
    "redis-channel": RedisChannel,
    "kafka-topic": KafkaTopic,
}
