"""A connection to Redis, or to Valkey, which speaks the same protocol.

Commands use a pool; each subscriber has a connection of its own, as the protocol wants. While the broker is
away, ``publish`` raises at once; a subscriber tries ten times a second to come back, for ever, and subscribes
again. A command is never sent twice behind the caller's back: redis-py's own retries would, and a PUBLISH
that was lost on the way back would then arrive twice.
"""

from __future__ import annotations

import asyncio

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from labkit.brokers.client import CALL_SECONDS, CONNECT_SECONDS, BrokerClient
from labkit.brokers.redis.channels.pubsub import PubSubChannel, PubSubPattern
from labkit.errors import ConnectFailed

__all__ = ["RedisClient"]


class RedisClient(BrokerClient):
    """One program's connections to a Redis server."""

    broker = "redis"
    _native: redis.asyncio.Redis | None = None

    @property
    def native(self) -> redis.asyncio.Redis:
        """The client of redis-py. Raises ``ChannelClosed`` before it was opened."""
        if self._native is None:
            self.require_open()
        assert self._native is not None
        return self._native

    def channel(self, name: str) -> PubSubChannel:
        """Return a Pub/Sub channel to publish or subscribe to."""
        return PubSubChannel(self, name)

    def pattern(self, name: str) -> PubSubPattern:
        """Return a pattern of channels to subscribe to: ``orders.*``. Dots mean nothing special to Redis."""
        return PubSubPattern(self, name)

    async def drop_idle_connections(self) -> None:
        """Close the connections nobody uses now: when one broke, the others likely did too, unnoticed."""
        await self.native.connection_pool.disconnect(inuse_connections=False)

    async def _connect(self) -> None:
        try:
            native = redis.asyncio.Redis.from_url(
                self.url, retry=Retry(NoBackoff(), 0), socket_timeout=CALL_SECONDS
            )
            async with asyncio.timeout(CONNECT_SECONDS):
                await native.ping()
        except (RedisError, OSError, ValueError) as error:
            raise ConnectFailed(
                f"No Redis or Valkey server answers at {self.url}: {error or type(error).__name__}.",
                broker=self.broker,
                remedy="check the address, and that the broker runs",
            ) from error
        self._native = native

    async def _disconnect(self) -> None:
        native, self._native = self.native, None
        await native.aclose()
