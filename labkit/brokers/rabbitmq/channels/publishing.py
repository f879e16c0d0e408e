"""What exchanges, queues and streams share: one publishes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aio_pika.abc import AbstractRobustChannel

from labkit.brokers.channel import Channel
from labkit.brokers.rabbitmq.channels.outlet import Outlet
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["PublishingChannel"]


class PublishingChannel(Channel):
    """A place to publish to, with an AMQP channel of its own."""

    client: RabbitmqClient
    _channel: AbstractRobustChannel
    _outlet: Outlet

    async def _open(self) -> AbstractRobustChannel:
        self._channel = await self.client.robust_channel()
        self._outlet = Outlet(self.client, self._channel)
        return self._channel

    async def ready(self) -> None:
        """Wait until the connection is back, with every queue and binding, and publish works again."""
        await self.client.restored()

    async def _publish(
        self, exchange: str, key: str, value: object, mandatory: bool, publisher: str, properties: Properties
    ) -> bool | None:
        body = encode(value)
        meters = self.meters(publisher)
        send = self._outlet.send(exchange, key, body, properties, mandatory=mandatory)
        if meters is None:
            returned = await send
        else:
            message = Message(body, key, headers=properties.get("headers"))
            returned = await self._observed(send, message, meters)
            if returned:
                meters.unheard(message)
        return not returned if mandatory else None

    async def _fire(
        self, exchange: str, key: str, value: object, publisher: str, properties: Properties
    ) -> None:
        body = encode(value)
        outlet = await self.client.outlet(confirms=False)
        meters = self.meters(publisher)
        if meters is None:
            await outlet.fire(exchange, key, body, properties)
            return
        message = Message(body, key, headers=properties.get("headers"))
        meters.sent(message)
        try:
            await outlet.fire(exchange, key, body, properties)
        except BaseException:
            meters.refused(message)
            raise
