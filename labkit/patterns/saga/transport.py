"""How the saga's messages travel: at least once, to each program. Four recipes, side by side.

Each address is a place to send to: a program ("stock"), or "events", to which all may listen. Every program
listens to one address, and gets all that is sent there, from when the transport was opened, also what was
sent while it was away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.kafka.channels.topic import Topic, TopicSubscription
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.nats.channels.consumer import Consumer
from labkit.brokers.nats.channels.stream import Stream
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.redis.channels.group import Group
from labkit.brokers.redis.channels.worker import GroupSubscription
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.topology import Lane, SubscriberLike

__all__ = [
    "RECIPES",
    "KafkaTransport",
    "NatsTransport",
    "RabbitmqTransport",
    "RedisTransport",
    "Transport",
]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)
Body = Mapping[str, Any]

AGAIN_SECONDS = 1.5
"""Longer than the work on one message takes: sooner, a slow program would get it twice."""


class Transport(ABC, Generic[AnyClient]):
    """The saga's messages on one broker. A recipe below says how that broker carries them."""

    native: ClassVar[str]
    built: ClassVar[str] = ""

    def __init__(self, client: AnyClient, name: str = "saga", again: float = AGAIN_SECONDS) -> None:
        self.client = client
        self.name = name
        self.again = again
        """When a message that nobody has finished comes again, in seconds, where the broker goes by time."""
        self.copies = 1
        """How often each message is sent. 2 shows what becomes of duplicates."""

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.client.broker

    @abstractmethod
    async def open(self, listeners: Mapping[str, str]) -> None:
        """Make what keeps each program's messages: ``{"stock": "events"}``, a program and its address."""

    @abstractmethod
    async def publish(self, address: str, body: Body, publisher: str) -> None:
        """Send one message; returns when the broker has it. Raises ``PublishFailed``."""

    async def send(self, address: str, body: Body, publisher: str) -> None:
        """Send one message as often as ``copies`` says."""
        for _ in range(self.copies):
            await self.publish(address, body, publisher)

    @abstractmethod
    async def listen(self, program: str, address: str) -> Subscription[Any]:
        """Return a program's subscription, not yet open. It goes on where its last one ended."""

    async def kill(self, subscription: Subscription[Any]) -> None:
        """End a subscription as a program does that is killed: what it had in hand is not acknowledged."""
        await subscription.shut()

    @abstractmethod
    def hub(self) -> Channel:
        """Return the broker's own channel that carries the messages."""

    def lane(self, *programs: SubscriberLike, publishers: tuple[str, ...] = ()) -> Lane:
        """Return this broker's row for the live picture."""
        return Lane.of(self.hub(), *programs, publishers=publishers)

    @abstractmethod
    async def delete(self) -> None:
        """Remove everything from the broker."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class NatsTransport(Transport[NatsClient]):
    """NATS: one JetStream stream; an address is a subject; each program has a durable consumer."""

    native = "JetStream stream, a durable consumer for each program, explicit ack"

    stream: Stream

    async def open(self, listeners: Mapping[str, str]) -> None:
        self.stream = await self.client.stream(self.name, subjects=[f"{self.name}.*"])
        for program, address in listeners.items():
            await self._consumer(program, address)

    async def _consumer(self, program: str, address: str) -> Consumer:
        subject = f"{self.name}.{address}"
        return await self.stream.consumer(program, filter=subject, ack_wait=self.again)

    async def publish(self, address: str, body: Body, publisher: str) -> None:
        await self.stream.publish(body, subject=f"{self.name}.{address}", publisher=publisher)

    async def listen(self, program: str, address: str) -> Subscription[Any]:
        # One at a time: what waits here for its turn would come again, though nobody died.
        return (await self._consumer(program, address)).subscribe(program, batch=1)

    def hub(self) -> Channel:
        return self.stream

    async def delete(self) -> None:
        await self.stream.delete()


class RabbitmqTransport(Transport[RabbitmqClient]):
    """RabbitMQ: an exchange; an address is a routing key; each program has a durable queue."""

    native = "topic exchange, a durable queue for each program, confirms, manual ack"

    async def open(self, listeners: Mapping[str, str]) -> None:
        self.exchange = await self.client.exchange(self.name, "topic")
        self.queues = {
            program: await self.client.queue(f"{self.name}.{program}", bind=(self.exchange, address))
            for program, address in listeners.items()
        }

    async def publish(self, address: str, body: Body, publisher: str) -> None:
        await self.exchange.publish(body, address, mandatory=True, publisher=publisher)

    async def listen(self, program: str, address: str) -> Subscription[Any]:
        return self.queues[program].subscribe(program)

    def hub(self) -> Channel:
        return self.exchange

    async def delete(self) -> None:
        for queue in self.queues.values():
            await queue.delete()
        await self.exchange.delete()


class RedisTransport(Transport[RedisClient]):
    """Redis: an address is a stream; each program is a group of it, which keeps what is not acknowledged."""

    native = "a stream for each address, a group for each program, XACK"
    built = "claiming: a program that comes back asks for what it had pending"

    async def open(self, listeners: Mapping[str, str]) -> None:
        self.addresses = {*listeners.values()}
        for program, address in listeners.items():
            await self._group(program, address)

    async def _group(self, program: str, address: str) -> Group:
        return await self.client.stream(f"{self.name}.{address}").group(program, start="first")

    async def publish(self, address: str, body: Body, publisher: str) -> None:
        await self.client.stream(f"{self.name}.{address}").publish(body, publisher=publisher)

    async def listen(self, program: str, address: str) -> Subscription[Any]:
        group = await self._group(program, address)
        return group.subscribe(program, claim_idle=self.again)

    async def kill(self, subscription: Subscription[Any]) -> None:
        assert isinstance(subscription, GroupSubscription)
        await subscription.abandon()

    def hub(self) -> Channel:
        return self.client.stream(f"{self.name}.*")

    async def delete(self) -> None:
        for address in self.addresses:
            await self.client.stream(f"{self.name}.{address}").delete()


class KafkaTransport(Transport[KafkaClient]):
    """Kafka: an address is a topic; each program is a group, whose place moves when the work is done."""

    native = "a topic for each address, a group for each program, commit after the work"

    async def open(self, listeners: Mapping[str, str]) -> None:
        self.topics = {
            address: await self.client.topic(f"{self.name}.{address}") for address in listeners.values()
        }

    async def publish(self, address: str, body: Body, publisher: str) -> None:
        await self.topics[address].publish(body, key=str(body["order"]), publisher=publisher)

    async def listen(self, program: str, address: str) -> Subscription[Any]:
        member = f"{self.name}.{program}"
        # A member that Kafka knows by name gets its partitions back at once; without, when a session ends.
        return self.topics[address].subscribe(
            program,
            group=member,
            start="earliest",
            commit="manual",
            native_options={"group_instance_id": member},
        )

    async def kill(self, subscription: Subscription[Any]) -> None:
        assert isinstance(subscription, TopicSubscription)
        await subscription.vanish()

    def hub(self) -> Channel:
        return Topic(self.client, f"{self.name}.*", partitions=1)  # for the picture: all of them

    async def delete(self) -> None:
        for topic in self.topics.values():
            await topic.delete()


RECIPES: Mapping[str, type[Transport[Any]]] = {
    "nats": NatsTransport,
    "rabbitmq": RabbitmqTransport,
    "redis": RedisTransport,
    "kafka": KafkaTransport,
}
