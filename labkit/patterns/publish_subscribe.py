"""Publish and subscribe: one message, a copy for everybody who wants it. Four recipes, side by side.

The story is an online shop. It publishes what happens to an order ("created", "paid", "cancelled"), and
billing, shipping and audit subscribe to what they need.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from redis.exceptions import RedisError

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.delivery import Delivery
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.errors import LabError, Unsupported
from labkit.topology import Lane

__all__ = [
    "KafkaOrders",
    "NatsOrders",
    "Orders",
    "RabbitmqOrders",
    "RedisOrders",
    "Subscriber",
    "lanes_of",
    "open_shops",
]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)
Order = Mapping[str, Any]

ANY_EVENT = "*"

LOOK_UP_SECONDS = 0.05
"""How soon a subscriber at work notices that it shall be faster."""

WAIT_SECONDS = 20.0
"""The longest to wait for orders that should be on their way; a restart takes some."""


class Subscriber:
    """Somebody who reads the shop's orders and keeps what arrives.

    ``received`` holds the orders in the order they came; ``skipped`` counts those that the broker delivered
    though the subscriber did not want them, because that broker cannot filter. ``seconds`` is how long it
    works on each order before it has it; it may be changed at any time.
    """

    def __init__(self, name: str, event: str, subscription: Subscription[Any]) -> None:
        self.name = name
        self.event = event
        self.subscription = subscription
        self.received: list[Order] = []
        self.skipped = 0
        self.seconds = 0.0
        self._grew = asyncio.Event()

    @property
    def numbers(self) -> list[int]:
        """The order numbers received so far, oldest first."""
        return [order["order"] for order in self.received]

    async def take(self, delivery: Delivery) -> None:
        """Work on an order and keep it, or skip it if its header says that it is about something else."""
        await self._work()
        event = (delivery.message.headers or {}).get("event", self.event)
        if self.event in (ANY_EVENT, event):
            self.received.append(delivery.value)
        else:
            self.skipped += 1
        self._grew.set()

    async def _work(self) -> None:
        began = time.monotonic()
        while (left := began + self.seconds - time.monotonic()) > 0:  # noqa: ASYNC110  # it may change
            await asyncio.sleep(min(left, LOOK_UP_SECONDS))

    async def until(self, count: int, within: float = WAIT_SECONDS) -> list[int]:
        """Wait until ``count`` orders were received, and return their numbers.

        Raises ``LabError`` if that takes longer than ``within`` seconds.
        """
        await self._until(lambda: len(self.received) >= count, f"{count} orders", within)
        return self.numbers

    async def until_order(self, number: int, within: float = WAIT_SECONDS) -> list[int]:
        """Wait until this order was received, and return the numbers of all.

        Raises ``LabError`` if that takes longer than ``within`` seconds.
        """
        await self._until(lambda: number in self.numbers, f"order {number}", within)
        return self.numbers

    async def _until(self, arrived: Callable[[], bool], what: str, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                while not arrived():
                    self._grew.clear()
                    await self._grew.wait()
        except TimeoutError as error:
            raise LabError(
                f"{self.name} waited {within:g} s for {what}, and has {len(self.received)} orders.",
                broker=self.subscription.channel.broker,
                remedy="check that the broker runs, and that somebody publishes what this subscriber wants",
            ) from error

    def __repr__(self) -> str:
        return f"<{self.name} received {len(self.received)}>"


class Orders(ABC, Generic[AnyClient]):
    """The shop's orders on one broker. A recipe below says how that broker publishes and subscribes."""

    native: ClassVar[str]
    """The broker's own things that this recipe uses, in a few words."""

    built: ClassVar[str] = ""
    """What the recipe had to build because the broker has no such thing; empty if nothing."""

    no_replay: ClassVar[str] = ""
    """Why nobody can subscribe to what was published before; empty where one can."""

    confirms: ClassVar[bool] = True
    """Whether the broker answers each message."""

    def __init__(self, client: AnyClient) -> None:
        self.client = client
        self.subscribers: dict[str, Subscriber] = {}

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.client.broker

    @abstractmethod
    async def channel(self) -> Channel:
        """Return the broker's own channel that carries the orders; a wildcard where there are many."""

    async def lane(self) -> Lane:
        """Return this broker's row for the live picture, with everybody who ever subscribed."""
        return Lane.of(await self.channel(), *self.subscribers.values())

    @abstractmethod
    async def publish(self, event: str, order: Order) -> None:
        """Tell everybody who wants to know what happened to an order. Raises ``PublishFailed``."""

    @abstractmethod
    async def listen(self, name: str, event: str) -> Subscription[Any]:
        """Return a subscription, not yet open, to one event, or to every event: ``"*"``."""

    async def listen_from_start(self, name: str) -> Subscription[Any]:
        """Return a subscription, not yet open, to all that was ever published. Raises ``Unsupported``."""
        raise Unsupported(self.no_replay, broker=self.broker, remedy="subscribe before you publish")

    async def subscribe(self, name: str, event: str = ANY_EVENT) -> Subscriber:
        """Let somebody subscribe, or come back after ``leave``; returns when the broker knows."""
        return await self._admit(name, event, await self.listen(name, event))

    async def subscribe_from_start(self, name: str) -> Subscriber:
        """Let somebody subscribe to all that was ever published.

        Raises ``Unsupported``, with the reason, where the broker keeps no such thing.
        """
        return await self._admit(name, ANY_EVENT, await self.listen_from_start(name))

    async def until_heard(self) -> None:
        """Wait until shop and subscribers are connected again after a restart.

        Kafka's client waits by itself, so there it returns at once.
        """

    async def _admit(self, name: str, event: str, subscription: Subscription[Any]) -> Subscriber:
        subscriber = self.subscribers.setdefault(name, Subscriber(name, event, subscription))
        subscriber.event, subscriber.subscription = event, subscription
        await subscription.open()
        subscription.run(subscriber.take)
        return subscriber

    async def leave(self, name: str) -> None:
        """Let a subscriber go away. What it received stays in ``subscribers``."""
        await self.subscribers[name].subscription.close()

    async def close(self) -> None:
        """Let every subscriber go away."""
        for name in self.subscribers:
            await self.leave(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(self.subscribers) or 'nobody subscribed'}>"


class NatsOrders(Orders[NatsClient]):
    """NATS: the subject says what happened. Whoever is subscribed now gets a copy; nothing is kept."""

    native = "subjects, wildcard subscriptions"
    no_replay = "Core NATS keeps nothing, so there is nothing to start from."
    confirms = False

    async def channel(self) -> Channel:
        return self.client.subject("orders.*")

    async def publish(self, event: str, order: Order) -> None:
        await self.client.subject(f"orders.{event}").publish(order)

    async def until_heard(self) -> None:
        """Wait for the connection: nats-py subscribes everybody again before it sends anything else."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.client.is_connected:  # noqa: ASYNC110  # its callback is taken at connect
                await asyncio.sleep(0.02)

    async def listen(self, name: str, event: str) -> Subscription[Any]:
        return self.client.subject(f"orders.{event}").subscribe(name)


class RabbitmqOrders(Orders[RabbitmqClient]):
    """RabbitMQ: an exchange copies to queues; each subscriber has one, which keeps what it has not taken."""

    native = "topic exchange, a durable queue for each subscriber, binding keys"
    no_replay = "A RabbitMQ queue holds what came after it was bound, and forgets what was acknowledged."

    async def channel(self) -> Channel:
        return await self.client.exchange("orders", "topic")

    async def publish(self, event: str, order: Order) -> None:
        exchange = await self.client.exchange("orders", "topic")
        await exchange.publish(order, f"orders.{event}", mandatory=True)

    async def until_heard(self) -> None:
        """Wait for the connection: aio-pika refuses to publish while it has none."""
        async with asyncio.timeout(WAIT_SECONDS):
            await (await self.client.exchange("orders", "topic")).ready()

    async def listen(self, name: str, event: str) -> Subscription[Any]:
        exchange = await self.client.exchange("orders", "topic")
        queue = await self.client.queue(name, bind=(exchange, f"orders.{event}"))
        return queue.subscribe(name)


class RedisOrders(Orders[RedisClient]):
    """Redis: the channel says what happened. Whoever is subscribed now gets a copy; nothing is kept."""

    native = "Pub/Sub channels, pattern subscriptions"
    no_replay = "Redis Pub/Sub keeps nothing, so there is nothing to start from."

    async def channel(self) -> Channel:
        return self.client.pattern("orders.*")

    async def publish(self, event: str, order: Order) -> None:
        await self.client.channel(f"orders.{event}").publish(order)

    async def until_heard(self) -> None:
        """Ask Redis how many patterns are subscribed, until it is one for each subscriber."""
        present = sum(one.subscription.is_open for one in self.subscribers.values())
        async with asyncio.timeout(WAIT_SECONDS):
            while await self._heard() < present:  # noqa: ASYNC110  # Redis tells nobody when it knows
                await asyncio.sleep(0.05)

    async def _heard(self) -> int:
        try:
            # NUMPAT counts each pattern once, whoever subscribed; the clients' own list counts subscribers.
            clients = await self.client.native.client_list()
        except (RedisError, OSError):
            await self.client.drop_idle_connections()
            return 0
        return sum(int(client["psub"]) for client in clients)

    async def listen(self, name: str, event: str) -> Subscription[Any]:
        return self.client.pattern(f"orders.{event}").subscribe(name)


class KafkaOrders(Orders[KafkaClient]):
    """Kafka: a log keeps all, and each subscriber has a place in it. It cannot filter: subscribers skip."""

    native = "topic, a consumer group for each subscriber, earliest offset"
    built = "a filter by header, in the subscriber"

    async def channel(self) -> Channel:
        return await self.client.topic("orders")

    async def publish(self, event: str, order: Order) -> None:
        topic = await self.client.topic("orders")
        await topic.publish(order, key=str(order["order"]), headers={"event": event})

    async def listen(self, name: str, event: str) -> Subscription[Any]:
        topic = await self.client.topic("orders")
        return topic.subscribe(name)  # every event; Subscriber.take looks at the header

    async def listen_from_start(self, name: str) -> Subscription[Any]:
        topic = await self.client.topic("orders")
        return topic.subscribe(name, start="earliest")


RECIPES: Mapping[str, type[Orders[Any]]] = {
    "nats": NatsOrders,
    "rabbitmq": RabbitmqOrders,
    "redis": RedisOrders,
    "kafka": KafkaOrders,
}


def open_shops(clients: Mapping[str, BrokerClient]) -> dict[str, Orders[Any]]:
    """Return the shop's orders on each of these brokers, by name: ``open_shops(lab.clients)``."""
    return {broker: recipe(clients[broker]) for broker, recipe in RECIPES.items() if broker in clients}


async def lanes_of(shops: Mapping[str, Orders[Any]]) -> list[Lane]:
    """Return a row for each broker, for the live picture: ``lab.flow(*await lanes_of(shops))``."""
    return [await shop.lane() for shop in shops.values()]
