"""RabbitMQ's exchanges, which route and keep nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustExchange, DeliveryMode
from aiormq.abc import DeliveredMessage

from labkit.brokers.channel import Channel
from labkit.brokers.rabbitmq.errors import ask, asking
from labkit.errors import PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Exchange", "ExchangeKind"]

ExchangeKind = Literal["direct", "topic", "fanout", "headers"]


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
        await ask(self._declare(), what, "choose another name if it exists as another kind")

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
        async with asking(what, "check that the broker runs, then publish again", PublishFailed):
            if not self.client.is_restored:
                raise ConnectionError
            answer = await self._native.publish(native, message.channel, mandatory=mandatory)
        return isinstance(answer, DeliveredMessage)

    async def delete(self) -> None:
        """Remove the exchange and its bindings from the broker."""
        self.client.forget(self)
        await ask(self._delete(), f"RabbitMQ did not delete the exchange {self.name!r}", "try again")

    async def _delete(self) -> None:
        await self._channel.exchange_delete(self.name)
        await self._channel.close()

    def _facts(self) -> dict[str, Any]:
        return {"kind": self.exchange_kind}
