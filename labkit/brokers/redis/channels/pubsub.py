"""Redis Pub/Sub: whoever is subscribed now gets a copy, and nothing is kept for anybody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError, PublishFailed
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["PubSubChannel", "PubSubPattern", "PubSubSubscription"]

RECONNECT_SECONDS = 0.1


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

        Raises ``PublishFailed`` if Redis cannot be reached or does not answer within 5 seconds; in the second
        case nobody knows whether the message went out.
        """
        data = encode(value)
        meters = self.meters(publisher)
        if meters is None:
            return await self._send(data)
        message = Message(data, self.name)
        receivers = await self._observed(self._send(data), message, meters)
        if not receivers:
            meters.unheard(message)
        return receivers

    async def _send(self, data: bytes) -> int:
        try:
            return int(await self.client.native.publish(self.name, data))
        except (RedisError, OSError) as error:
            await self.client.drop_idle_connections()
            raise PublishFailed(
                f"Redis did not take {len(data)} bytes for {self.name}: {error}.",
                broker=self.broker,
                remedy="check that the broker runs, then publish again",
            ) from error

    def subscribe(self, name: str) -> PubSubSubscription:
        """Return a subscriber called ``name``, not yet open."""
        return PubSubSubscription(self, name)


class PubSubSubscription(InboxSubscription[Delivery]):
    """One subscriber, on a connection of its own that comes back after the broker did."""

    channel: PubSubChannel | PubSubPattern
    _native: PubSub
    _reader: asyncio.Task[None]

    async def _subscribe(self) -> None:
        self._native = self.channel.client.native.pubsub()
        by_pattern = self.channel.kind == "pattern"
        subscribe = self._native.psubscribe if by_pattern else self._native.subscribe
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await subscribe(self.channel.name)
                await self._native.get_message(timeout=None)  # the reply to SUBSCRIBE: from now on we hear
        except (RedisError, OSError) as error:
            await self._native.aclose()  # type: ignore[no-untyped-call]
            raise BrokerError(
                f"Redis did not register {self.name} on {self.channel.name!r}: {error}.",
                broker="redis",
                remedy="check that the broker runs",
            ) from error
        self._reader = asyncio.create_task(self._read(), name=f"read {self.place}")

    async def _read(self) -> None:
        while True:
            try:
                native = await self._native.get_message(ignore_subscribe_messages=True, timeout=None)
            except (RedisError, OSError):
                # redis-py connects and subscribes again at the next read; a lost broker needs patience only.
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            if native is not None:
                await self._inbox.put(Delivery(native, _read))

    async def _unsubscribe(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])
        await self._native.aclose()  # type: ignore[no-untyped-call]  # ends connection and subscription


def _read(native: dict[str, Any]) -> Message:
    return Message(native["data"], native["channel"].decode(), native=native)
