"""RabbitMQ's queues, which keep messages until a subscriber has acknowledged them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.rabbitmq.channels.exchange import Exchange
from labkit.brokers.rabbitmq.errors import ask, asking
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Binding", "BindingKey", "Queue", "QueueDelivery", "QueueKind", "QueueSubscription"]

QueueKind = Literal["classic", "quorum"]
BindingKey = str | Mapping[str, str]
Binding = tuple[Exchange, BindingKey]


class Queue(Channel):
    """A RabbitMQ queue. It keeps messages until a subscriber has acknowledged them."""

    kind = "queue"
    client: RabbitmqClient
    _channel: AbstractRobustChannel
    _native: AbstractRobustQueue

    def __init__(
        self, client: RabbitmqClient, name: str, kind: QueueKind, exclusive: bool, arguments: dict[str, Any]
    ) -> None:
        super().__init__(client, name)
        self.queue_kind = kind
        self.exclusive = exclusive
        self.arguments = arguments
        self.bindings: list[str] = []

    @property
    def settings(self) -> dict[str, Any]:
        """What the queue is declared with, in AMQP's words."""
        return {
            "durable": not self.exclusive,
            "exclusive": self.exclusive,
            "auto_delete": self.exclusive,
            "arguments": {"x-queue-type": self.queue_kind, **self.arguments},
        }

    async def declare(self) -> None:
        """Make the queue, or find it as it is."""
        what = f"RabbitMQ did not declare the {self.queue_kind} queue {self.name!r}"
        await ask(self._declare(), what, "choose another name if it exists with other settings")

    async def _declare(self) -> None:
        self._channel = await self.client.robust_channel()
        self._native = await self.declare_on(self._channel)

    async def declare_on(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        """Declare the queue on this AMQP channel, which then restores it."""
        native = await channel.declare_queue(self.name, **self.settings)
        assert isinstance(native, AbstractRobustQueue)
        return native

    async def bind(self, exchange: Exchange, key: BindingKey) -> None:
        """Ask an exchange for the messages that fit ``key``: a routing key, or headers to match."""
        routing_key = key if isinstance(key, str) else ""
        arguments: dict[str, Any] | None = None if isinstance(key, str) else dict(key)
        label = key if isinstance(key, str) else ", ".join(f"{name}={value}" for name, value in key.items())
        what = f"RabbitMQ did not bind {self.name!r} to {exchange.name!r}"
        await ask(self._bind_native(exchange.name, routing_key, arguments), what, "check the key")
        if label not in self.bindings:
            self.bindings.append(label)

    async def _bind_native(self, exchange: str, routing_key: str, arguments: dict[str, Any] | None) -> None:
        await self.client.restored()
        await self._native.bind(exchange, routing_key, arguments=arguments)

    async def depth(self) -> int:
        """Return how many messages are ready: waiting for a subscriber, not counting those handed out."""
        what = f"RabbitMQ did not tell the depth of {self.name!r}"
        return await ask(self._count(), what, "check that it still exists")

    async def _count(self) -> int:
        channel = await self.client.plain_channel()
        try:
            answer = await channel.queue_declare(self.name, passive=True)
        finally:
            await channel.close()
        return answer.message_count or 0

    async def delete(self) -> None:
        """Remove the queue from the broker, with every message in it."""
        self.client.forget(self)
        await ask(self._delete(), f"RabbitMQ did not delete the queue {self.name!r}", "try again")

    async def _delete(self) -> None:
        await self._channel.queue_delete(self.name)
        await self._channel.close()

    async def release(self) -> None:
        """Stop making this queue again after a broken connection; RabbitMQ keeps what it has."""
        self.client.forget(self)
        await self._channel.close()

    def subscribe(self, name: str, *, prefetch: int = 100) -> QueueSubscription:
        """Return a subscriber called ``name``, not yet open.

        RabbitMQ hands it up to ``prefetch`` messages before the first of them is acknowledged. Several
        subscribers of one queue share its messages; for a copy each, give each a queue.
        """
        return QueueSubscription(self, name, prefetch)

    def _facts(self) -> dict[str, Any]:
        return {"kind": self.queue_kind}


class QueueDelivery(Delivery):
    """A message that RabbitMQ handed out and will hand out again unless it is acknowledged."""

    __slots__ = ("_subscription", "is_settled")

    def __init__(self, native: AbstractIncomingMessage, subscription: QueueSubscription) -> None:
        super().__init__(native, _read, redelivered=bool(native.redelivered))
        self.is_settled = False
        self._subscription = subscription

    async def ack(self) -> None:
        """Tell RabbitMQ that this message is done with; it forgets it.

        Raises ``BrokerError`` if the connection it came by is gone; RabbitMQ then delivers it again.
        """
        if self.is_settled:
            return
        async with asking("RabbitMQ cannot take this acknowledgement", "wait; it will be delivered again"):
            await self.native.ack()
        self.is_settled = True
        self._subscription.count_settled(self)


class QueueSubscription(InboxSubscription[QueueDelivery]):
    """One subscriber of a queue. It is subscribed again after a broken connection."""

    channel: Queue
    _channel: AbstractRobustChannel
    _native: AbstractRobustQueue
    _tag: str

    def __init__(self, queue: Queue, name: str, prefetch: int) -> None:
        super().__init__(queue, name, filter=", ".join(queue.bindings))
        self.prefetch = min(prefetch, self.INBOX)

    async def _subscribe(self) -> None:
        what = f"RabbitMQ did not register {self.name} on the queue {self.channel.name!r}"
        self._is_wanted = True
        try:
            await ask(self._register(), what, "check that the queue still exists and the broker runs")
        except BaseException:
            self._is_wanted = False
            raise

    async def _register(self) -> None:
        self._channel = await self.channel.client.robust_channel()
        self._channel.close_callbacks.add(self._forget_undelivered)
        await self._channel.set_qos(self.prefetch)
        self._native = await self.channel.declare_on(self._channel)
        self._tag = await self._native.consume(self._arrived)
        if not self._is_wanted:  # given up meanwhile: nobody would take what is delivered
            await self._channel.close()

    async def _arrived(self, native: AbstractIncomingMessage) -> None:
        await self._inbox.put(QueueDelivery(native, self))

    def _forget_undelivered(self, *_: object) -> None:
        # They cannot be acknowledged any more, and RabbitMQ hands them out again.
        self.empty_inbox()

    async def _unsubscribe(self) -> None:
        with suppress(BrokerError):  # a connection that is gone took the subscription with it
            await ask(self._leave(), f"RabbitMQ did not unsubscribe {self.name}", "")

    async def _leave(self) -> None:
        if self.channel.client.native.connected.is_set():
            await self._native.cancel(self._tag)
        await self._channel.close()
        if self.channel.exclusive:
            await self.channel.release()

    async def _settle(self, delivery: QueueDelivery) -> None:
        with suppress(BrokerError):  # not acknowledged: it comes again, marked as redelivered
            await delivery.ack()

    def count_settled(self, delivery: QueueDelivery) -> None:
        """Count an acknowledgement."""
        if self._settled is not None:
            self._settled(delivery.message)


def _read(native: AbstractIncomingMessage) -> Message:
    headers = {name: str(value) for name, value in native.headers.items()} or None
    return Message(native.body, native.routing_key or "", headers=headers, native=native)
