"""Where requests and replies go, as the feed and the ledger know it."""

from __future__ import annotations

from labkit.brokers.channel import Channel
from labkit.brokers.rabbitmq.channels.outlet import Outlet
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.message import Message, encode

__all__ = ["DIRECT", "Way", "replies_of"]

DIRECT = "amq.rabbitmq.reply-to"
"""RabbitMQ's name for "straight to the connection that asks": no queue is made, and nothing is kept."""


class Way(Channel):
    """A way for requests or replies, by way of the default exchange, and nobody's in particular."""

    kind = "queue"

    async def publish(
        self,
        outlet: Outlet,
        key: str,
        value: object,
        publisher: str,
        properties: Properties,
        *,
        exchange: str = "",
    ) -> bool | None:
        """Send one message and wait for its confirm; returns whether there is a queue it went to.

        None says that RabbitMQ does not tell, as with direct replies: they go to no queue.
        """
        body = encode(value)
        to_a_queue = not key.startswith(DIRECT)
        send = outlet.send(exchange, key, body, properties, mandatory=to_a_queue)
        meters = self.meters(publisher)
        if meters is None:
            returned = await send
            return not returned if to_a_queue else None
        message = Message(body, key, headers=properties.get("headers"))
        returned = await self._observed(send, message, meters)
        if returned:
            meters.unheard(message)
        return not returned if to_a_queue else None


def replies_of(queue: str) -> str:
    """Return what the feed calls the way back from a queue's workers to whoever asked."""
    return f"{queue}.replies"
