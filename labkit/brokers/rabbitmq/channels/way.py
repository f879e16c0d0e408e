"""Where requests and replies go, as the feed and the ledger know it."""

from __future__ import annotations

from labkit.brokers.channel import Channel
from labkit.brokers.rabbitmq.channels.outlet import Outlet
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.message import Message, encode

__all__ = ["Way", "replies_of"]


class Way(Channel):
    """A way for requests or replies, by way of the default exchange, and nobody's in particular."""

    kind = "queue"

    async def publish(
        self, outlet: Outlet, key: str, value: object, publisher: str, properties: Properties
    ) -> bool:
        """Send one message and wait for its confirm; returns whether there is a queue it went to."""
        body = encode(value)
        send = outlet.send("", key, body, properties, mandatory=True)
        meters = self.meters(publisher)
        if meters is None:
            return not await send
        message = Message(body, key, headers=properties.get("headers"))
        returned = await self._observed(send, message, meters)
        if returned:
            meters.unheard(message)
        return not returned


def replies_of(queue: str) -> str:
    """Return what the feed calls the way back from a queue's workers to whoever asked."""
    return f"{queue}.replies"
