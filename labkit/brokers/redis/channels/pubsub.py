"""Redis Pub/Sub: whoever is subscribed now gets a copy, and nothing is kept for anybody."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.pipeline import WINDOW
from labkit.brokers.redis.errors import LOST, asking, meaning, publish
from labkit.brokers.redis.pipeline import ChannelPipeline
from labkit.brokers.redis.reader import RECONNECT_SECONDS
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["PubSubChannel", "PubSubDelivery", "PubSubPattern", "PubSubSubscription"]


class PubSubPattern(Channel):
    """A pattern of channels, with ``*``, ``?`` and ``[ab]``. One can only subscribe to it."""

    kind = "pattern"
    client: RedisClient

    def __init__(self, client: RedisClient, name: str) -> None:
        super().__init__(client, name)

    def subscribe(self, name: str) -> PubSubSubscription:
        """Return a subscriber called ``name``, not yet open."""
        return PubSubSubscription(self, name, filter=self.name)


class PubSubChannel(Channel):
    """A Redis Pub/Sub channel."""

    kind = "channel"
    client: RedisClient

    def __init__(self, client: RedisClient, name: str) -> None:
        super().__init__(client, name)

    async def publish(self, value: object, *, publisher: str = "shop") -> int:
        """Send one message, and return how many subscribers Redis passed it to; 0 is counted as unheard.

        Raises ``PublishRefused``, or ``PublishInDoubt`` if there was no answer within 5 seconds: then nobody
        knows whether the message went out.
        """
        data = encode(value)
        self.client.require_open()
        meters = self.meters(publisher)
        if meters is None:
            return await self._send(data)
        message = Message(data, self.name)
        receivers = await self._observed(self._send(data), message, meters)
        if not receivers:
            meters.unheard(message)
        return receivers

    async def _send(self, data: bytes) -> int:
        return int(await publish(self.client, ("PUBLISH", self.name, data), self.name, len(data)))

    def pipeline(self, window: int = WINDOW, *, publisher: str = "shop") -> ChannelPipeline:
        """Return a way to send many messages with up to ``window`` of them unanswered."""
        return ChannelPipeline(self, publisher, window)

    def subscribe(self, name: str) -> PubSubSubscription:
        """Return a subscriber called ``name``, not yet open."""
        return PubSubSubscription(self, name)


class PubSubDelivery(Delivery):
    """A copy of a message. ``native`` is redis-py's dictionary. Nothing is to be settled."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native["data"])


class PubSubSubscription(InboxSubscription[PubSubDelivery]):
    """One subscriber, on a connection of its own that comes back after the broker did.

    What is published while it is away is lost, and Redis does not say how much that was. It also cuts off a
    subscriber that is too slow: one for whom 32 MB wait, or 8 MB for a minute.
    """

    channel: PubSubChannel | PubSubPattern
    _native: PubSub
    _reader: asyncio.Task[None]

    def __init__(self, channel: PubSubChannel | PubSubPattern, name: str, *, filter: str = "") -> None:
        super().__init__(channel, name, filter=filter)
        self.interruptions = 0
        """How often the connection was lost, and with it whatever was published until it was back."""
        self._failure: BrokerError | None = None

    async def _subscribe(self) -> None:
        self._native = self.channel.client.readers.pubsub(push_handler_func=_as_it_came)
        by_pattern = self.channel.kind == "pattern"
        subscribe = self._native.psubscribe if by_pattern else self._native.subscribe
        try:
            async with asking(f"Redis did not register {self.name} on {self.channel.name!r}"):
                await subscribe(self.channel.name)
                await self._native.get_message(timeout=None)  # the reply to SUBSCRIBE: from now on we hear
        except BaseException:
            await self._native.aclose()  # type: ignore[no-untyped-call]
            raise
        self._failure = None
        self._reader = asyncio.create_task(self._read(), name=f"read {self.place}")

    async def _read(self) -> None:
        is_away = False
        while True:
            try:
                native = await self._hear()
            except LOST:
                # It comes back with the next read: the first one is at once, as little is missed as can be.
                if is_away:
                    await asyncio.sleep(RECONNECT_SECONDS)  # a lost broker needs patience only
                else:
                    is_away = True
                    self.interruptions += 1
                continue
            except RedisError as error:
                await self._fail(error)
                return
            is_away = False
            if native is not None:
                await self._inbox.put(PubSubDelivery(native, _read))

    async def _hear(self) -> Any:
        """Wait for one message; None if what came was none.

        redis-py's own ``get_message`` takes twice as long: it also measures, and has a way to try again.
        """
        connection = self._native.connection
        if connection is None or not connection.is_connected:
            # redis-py connects, and subscribes to what it was subscribed to.
            return await self._native.get_message(ignore_subscribe_messages=True, timeout=None)
        pushed = await connection.read_response(timeout=math.inf, push_request=True)
        if pushed and pushed[0] == b"message":
            return {"type": "message", "pattern": None, "channel": pushed[1], "data": pushed[2]}
        return await self._native.handle_message(pushed, ignore_subscribe_messages=True)

    async def _fail(self, error: RedisError) -> None:
        """Have whoever waits for a message learn why there will be none."""
        self._failure = meaning(error, f"{self.place} hears no more")
        self._failure.__cause__ = error
        await self._inbox.put(None)

    async def _next(self) -> PubSubDelivery | None:
        inbox = self._inbox
        delivery = await inbox.get() if inbox.empty() else inbox.get_nowait()
        if delivery is None and self._failure is not None:
            raise self._failure
        return delivery

    async def _unsubscribe(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])
        await self._native.aclose()  # type: ignore[no-untyped-call]  # ends connection and subscription


async def _as_it_came(pushed: Any) -> Any:
    """Return what Redis pushed. redis-py's own handler also makes a line for the log of every message."""
    return pushed


def _read(native: dict[str, Any]) -> Message:
    return Message(native["data"], native["channel"].decode(), native=native)
