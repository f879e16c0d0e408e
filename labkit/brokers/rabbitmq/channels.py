"""RabbitMQ's exchanges, which route, and queues, which keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import aio_pika
from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustExchange,
    AbstractRobustQueue,
    DeliveryMode,
)
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError
from aiormq.abc import DeliveredMessage

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS, was_cancelled
from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError, PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = [
    "Binding",
    "Exchange",
    "ExchangeKind",
    "Queue",
    "QueueDelivery",
    "QueueKind",
    "QueueSubscription",
]

ExchangeKind = Literal["direct", "topic", "fanout", "headers"]
QueueKind = Literal["classic", "quorum"]
BindingKey = str | Mapping[str, str]
Binding = tuple["Exchange", BindingKey]
Answer = TypeVar("Answer")


@asynccontextmanager
async def _asking(what: str, remedy: str, error_kind: type[BrokerError] = BrokerError) -> AsyncIterator[None]:
    """Give the calls inside 5 seconds, and turn aio-pika's errors into ours."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and was_cancelled():
            raise
        # A connection that broke cancels whoever waits in aiormq.
        raise error_kind(f"{what}: {_reason(error)}.", broker="rabbitmq", remedy=remedy) from error


async def _ask(work: Coroutine[Any, Any, Answer], what: str, remedy: str) -> Answer:
    """Do the same for a question to RabbitMQ, which goes on when nobody waits for the answer any more.

    A question that is cancelled leaves aiormq and RabbitMQ with different ideas of which channels are open,
    and RabbitMQ then closes the whole connection ("expected 'channel.open'"; aiormq 7.2).
    """
    question = asyncio.create_task(work)
    _questions.add(question)
    question.add_done_callback(_answered)
    async with _asking(what, remedy):
        return await asyncio.shield(question)


_questions: set[asyncio.Task[Any]] = set()


def _answered(question: asyncio.Task[Any]) -> None:
    _questions.discard(question)
    if not question.cancelled():
        question.exception()  # whoever still waits gets it; if nobody does, it is no news


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CALL_SECONDS:g} s"
    if isinstance(error, ChannelInvalidStateError | ConnectionError | asyncio.CancelledError):
        return "the connection is lost; the client is connecting again"
    return str(error) or type(error).__name__


class Exchange(Channel):
    """A durable RabbitMQ exchange: it keeps nothing; each queue whose binding fits gets a copy."""

    kind = "exchange"
    client: RabbitmqClient
    _channel: AbstractRobustChannel
    _native: AbstractRobustExchange

    def __init__(self, client: RabbitmqClient, name: str, kind: ExchangeKind) -> None:
        super().__init__(client, name)
        self.exchange_kind = kind

    async def declare(self) -> None:
        """Make the exchange, or find it as it is."""
        what = f"RabbitMQ did not declare the {self.exchange_kind} exchange {self.name!r}"
        await _ask(self._declare(), what, "choose another name if it exists as another kind")

    async def _declare(self) -> None:
        self._channel = await self.client.robust_channel()
        native = await self._channel.declare_exchange(self.name, self.exchange_kind, durable=True)
        assert isinstance(native, AbstractRobustExchange)
        self._native = native

    async def ready(self) -> None:
        """Wait until the connection is back, with every queue and binding, and publish works again."""
        await self.client.restored()

    async def publish(
        self,
        value: object,
        routing_key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        mandatory: bool = False,
        persistent: bool = True,
        publisher: str = "shop",
    ) -> bool | None:
        """Send one message and wait for RabbitMQ's confirm.

        With ``mandatory`` the broker sends back what no queue wanted: returns whether one did, and
        counts the message as unheard if not. Without, it confirms and drops such a message: returns None.
        Raises ``PublishFailed`` at once while the connection is lost. It also does so if the connection
        breaks or no confirm comes within 5 seconds; then nobody knows whether the broker has the message.
        """
        message = Message(encode(value), routing_key, headers=headers)
        meters = self.meters(publisher)
        send = self._send(message, mandatory, persistent)
        returned = await send if meters is None else await self._observed(send, message, meters)
        if returned and meters is not None:
            meters.unheard(message)
        return not returned if mandatory else None

    async def _send(self, message: Message, mandatory: bool, persistent: bool) -> bool:
        """Publish, and return whether the broker sent the message back."""
        native = aio_pika.Message(
            message.data,
            headers=dict(message.headers or {}),
            delivery_mode=DeliveryMode.PERSISTENT if persistent else DeliveryMode.NOT_PERSISTENT,
        )
        what = f"RabbitMQ did not confirm {len(message.data)} bytes for {self.name} {message.channel!r}"
        async with _asking(what, "check that the broker runs, then publish again", PublishFailed):
            if not self.client.is_restored:
                raise ConnectionError
            answer = await self._native.publish(native, message.channel, mandatory=mandatory)
        return isinstance(answer, DeliveredMessage)

    async def delete(self) -> None:
        """Remove the exchange and its bindings from the broker."""
        self.client.forget(self)
        await _ask(self._delete(), f"RabbitMQ did not delete the exchange {self.name!r}", "try again")

    async def _delete(self) -> None:
        await self._channel.exchange_delete(self.name)
        await self._channel.close()

    def _facts(self) -> dict[str, Any]:
        return {"kind": self.exchange_kind}


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
        await _ask(self._declare(), what, "choose another name if it exists with other settings")

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
        await _ask(self._bind_native(exchange.name, routing_key, arguments), what, "check the key")
        if label not in self.bindings:
            self.bindings.append(label)

    async def _bind_native(self, exchange: str, routing_key: str, arguments: dict[str, Any] | None) -> None:
        await self.client.restored()
        await self._native.bind(exchange, routing_key, arguments=arguments)

    async def depth(self) -> int:
        """Return how many messages are ready: waiting for a subscriber, not counting those handed out."""
        what = f"RabbitMQ did not tell the depth of {self.name!r}"
        return await _ask(self._count(), what, "check that it still exists")

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
        await _ask(self._delete(), f"RabbitMQ did not delete the queue {self.name!r}", "try again")

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
        async with _asking("RabbitMQ cannot take this acknowledgement", "wait; it will be delivered again"):
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
            await _ask(self._register(), what, "check that the queue still exists and the broker runs")
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
            await _ask(self._leave(), f"RabbitMQ did not unsubscribe {self.name}", "")

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
