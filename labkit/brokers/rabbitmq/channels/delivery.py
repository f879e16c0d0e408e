"""One arrival of a message from a queue, which RabbitMQ waits to hear about."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack, cast

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.rabbitmq.channels.consuming import read_message
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.channels.way import replies_of
from labkit.errors import BrokerError, SettleFailed

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

    from labkit.brokers.rabbitmq.channels.queue import QueueSubscription

__all__ = ["QueueDelivery"]


class QueueDelivery(OpenDelivery):
    """A message that RabbitMQ handed out and will hand out again unless it is settled.

    ``async with delivery:`` acknowledges it at the end, and rejects it if the work raised: it is then
    dead-lettered where the queue says where to, and dropped where not. RabbitMQ answers none of this.
    """

    __slots__ = ("_subscription",)

    def __init__(self, native: AbstractIncomingMessage, subscription: QueueSubscription) -> None:
        super().__init__(native, read_message, redelivered=bool(native.redelivered))
        self._subscription = subscription

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native.body)

    async def ack(self) -> None:
        """Tell RabbitMQ that this message is done with; it forgets it.

        Raises ``SettleFailed`` if the channel it came by is gone; RabbitMQ then delivers it again.
        """
        if not self.is_settled:
            await self._channel().basic_ack(self.native.delivery_tag, wait=False)
            self.is_settled = True
            if (settled := self._subscription.settled_meter) is not None:
                settled(self.message)

    async def nack(self, *, requeue: bool = True) -> None:
        """Give it back: to the front of the queue, or without ``requeue`` to the dead letters, if any."""
        if not self.is_settled:
            await self._channel().basic_nack(self.native.delivery_tag, requeue=requeue, wait=False)
            self.is_settled = True

    async def reject(self, *, requeue: bool = False) -> None:
        """Refuse it: to the dead letters if the queue has any, else it is dropped."""
        if not self.is_settled:
            await self._channel().basic_reject(self.native.delivery_tag, requeue=requeue, wait=False)
            self.is_settled = True

    async def give_back(self) -> None:
        """Reject it, because the work on it failed."""
        await self.reject()

    async def reply(self, value: object, **properties: Unpack[Properties]) -> bool | None:
        """Answer a request; returns whether somebody still waits where the reply goes.

        Of a direct reply RabbitMQ does not tell: returns None. After a broken connection it waits until all
        is restored, because a request may be handed out again before.

        Raises ``BrokerError`` if the message asks for none, and what ``Queue.publish`` raises.
        """
        if not self.native.reply_to:
            raise BrokerError(
                f"This message on {self._subscription.channel.name} asks for no reply.",
                broker="rabbitmq",
                remedy="send it with `client.caller()`, or with reply_to=...",
            )
        if self.native.correlation_id:
            properties.setdefault("correlation_id", self.native.correlation_id)
        subscription = self._subscription
        client = subscription.channel.client
        await client.restored()
        way = client.way(replies_of(subscription.channel.name))
        return await way.publish(
            await client.outlet(), self.native.reply_to, value, subscription.name, properties
        )

    @property
    def exchange(self) -> str:
        """The exchange it was published to; empty for the default exchange."""
        return self.native.exchange or ""

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        return self.native.routing_key or ""

    @property
    def correlation_id(self) -> str | None:
        """What ties a reply to its request."""
        return self.native.correlation_id or None

    @property
    def message_id(self) -> str | None:
        """The publisher's name for it."""
        return self.native.message_id or None

    @property
    def timestamp(self) -> datetime | None:
        """When it was made, as the publisher says."""
        timestamp: datetime | None = self.native.timestamp
        return timestamp

    @property
    def priority(self) -> int:
        """What it was published with; 0 if with none."""
        return self.native.priority or 0

    @property
    def delivery_count(self) -> int | None:
        """How often it was given back before; None on a classic queue, which does not count."""
        count: int | None = self.native.headers.get("x-delivery-count")
        return count

    def _channel(self) -> AbstractChannel:
        native: Any = self.native
        try:
            channel: AbstractChannel = native.channel
        except ChannelInvalidStateError as error:
            raise SettleFailed(
                f"RabbitMQ cannot be told about this message of {self._subscription.channel.name}: "
                "the channel it came by is closed.",
                broker="rabbitmq",
                remedy="wait; it is delivered again, marked as redelivered",
            ) from error
        return channel
