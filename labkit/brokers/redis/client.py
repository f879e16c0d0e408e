"""Connections to Redis, or to Valkey, which speaks the same protocol.

Commands share a pool of stated size; each subscriber has a connection of its own, as blocking reads want.
While the broker is away, a command fails at once; a subscriber tries ten times a second to come back, for
ever. A command is never sent twice behind the caller's back: redis-py's own retries would, and a PUBLISH that
was lost on the way back would then arrive twice.

redis-py gives up reading an answer after 5 seconds, also the answer to a command that was told to wait longer
(``BRPOP key 8``), and then sends it again, up to ten times. Here it does neither: our calls have limits of
their own, and what you call on ``native`` waits as long as you told the server to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis.asyncio.connection import AbstractConnection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from labkit.brokers.client import CALL_SECONDS, CONNECT_SECONDS, BrokerClient
from labkit.brokers.redis.channels.delayed import Delayed
from labkit.brokers.redis.channels.list import RedisList
from labkit.brokers.redis.channels.pubsub import PubSubChannel, PubSubPattern
from labkit.brokers.redis.channels.stream import Stream
from labkit.brokers.redis.errors import asking, source
from labkit.brokers.redis.pool import FREE_SECONDS, Pool, PoolUse
from labkit.brokers.redis.versions import ServerVersion, version_in
from labkit.errors import ConnectFailed, LoginRefused
from labkit.events import Observer

__all__ = ["RedisClient"]

MANY = 10_000
"""More connections than there are subscribers: these are not shared, so there is nothing to wait for."""


class RedisClient(BrokerClient):
    """One program's connections to a Redis server.

    ``pool`` is how many connections commands may use at once; who finds none free waits up to 2 seconds.
    Of those that are idle, ``idle`` are kept, and the others closed after a second. Subscribers' connections
    are not among them.
    """

    broker = "redis"
    _native: redis.asyncio.Redis | None = None
    _pool: Pool
    _readers: redis.asyncio.Redis
    _version: ServerVersion

    def __init__(self, url: str, observer: Observer | None = None, *, pool: int = 10, idle: int = 5) -> None:
        super().__init__(url, observer)
        self._sizes = pool, idle

    @property
    def native(self) -> redis.asyncio.Redis:
        """The client of redis-py, on the pool. It has no time-out of its own: give it one where you need it.

        A command that blocks holds one of the pool's connections meanwhile. Raises ``ChannelClosed`` before
        it was opened.
        """
        self._require_connected()
        assert self._native is not None
        return self._native

    def _require_connected(self) -> None:
        # A client that is closing still is: its subscribers have a last word.
        if self._native is None:
            self.require_open()

    @property
    def connections(self) -> Pool:
        """The pool of connections for commands, redis-py's with stated sizes."""
        self._require_connected()
        return self._pool

    @property
    def readers(self) -> redis.asyncio.Redis:
        """The client of redis-py that gives each subscriber a connection of its own."""
        self.require_open()
        return self._readers

    @property
    def pool(self) -> PoolUse:
        """The size of the pool for commands, how many connections are in use now, and how many are idle."""
        self.require_open()
        return self._pool.use

    @property
    def version(self) -> ServerVersion:
        """Which server this is: its product, "Redis" or "Valkey", and its version number."""
        self.require_open()
        return self._version

    def channel(self, name: str) -> PubSubChannel:
        """Return a Pub/Sub channel to publish or subscribe to."""
        return PubSubChannel(self, name)

    def pattern(self, name: str) -> PubSubPattern:
        """Return a pattern of channels to subscribe to: ``orders.*``. Dots mean nothing special to Redis."""
        return PubSubPattern(self, name)

    def list(self, name: str) -> RedisList:
        """Return a list used as a queue. Redis makes it with its first element, and removes it when empty."""
        return RedisList(self, name)

    def stream(
        self, name: str, *, max_length: int | None = None, approximate: bool = True, min_id: str | None = None
    ) -> Stream:
        """Return a stream. Redis makes it with its first entry, or its first group.

        With ``max_length`` each add also trims the stream to so many entries, with ``min_id`` to those from
        this id on, whether somebody has read them or not. ``approximate`` lets Redis keep some more, which is
        much cheaper.
        """
        return Stream(self, name, max_length=max_length, approximate=approximate, min_id=min_id)

    def delayed(self, target: RedisList | Stream) -> Delayed:
        """Return the waiting room of a list or a stream, for messages that shall be there later."""
        return Delayed(self, target)

    async def execute(self, *command: Any) -> Any:
        """Send one command and return the answer as it comes; raises what redis-py raises, waits for ever.

        It does less than redis-py's own ``execute_command``, which also measures, retries and rearranges.
        """
        pool = self.connections
        connection = await pool.get_connection()
        try:
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await pool.release(connection)

    async def ask(self, what: str, *command: Any, remedy: str = "") -> Any:
        """Send one command and return the answer. ``what`` says what did not succeed, if it does not."""
        self._require_connected()
        async with asking(what, remedy):
            return await self.execute(*command)

    async def largest_value(self) -> int | None:
        """Return how many bytes the server takes as one value, None if it does not tell this user."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                told = await self.native.config_get("proto-max-bulk-len")
            return int(told["proto-max-bulk-len"] or 0) or None
        except (RedisError, OSError, KeyError):
            return None

    async def drop_idle_connections(self) -> None:
        """Close the connections nobody uses now: when one broke, the others likely did too, unnoticed."""
        await self.native.connection_pool.disconnect(inuse_connections=False)

    def reader(self) -> AbstractConnection:
        """Return a new connection, not yet open, that its one user opens and closes, and limits in time."""
        pool: Any = self._readers.connection_pool
        connection: AbstractConnection = pool.make_connection()
        connection.socket_timeout = None  # with one, redis-py makes a task for each command it sends
        return connection

    async def _connect(self) -> None:
        try:
            self._pool, readers = self._new_pools()
            native = redis.asyncio.Redis(connection_pool=self._pool)
            async with asyncio.timeout(CONNECT_SECONDS):
                self._version = version_in(await self._hello())
        except (RedisError, OSError, ValueError) as error:
            raise self._not_connected(source(error)) from source(error)
        self._native = native
        self._readers = redis.asyncio.Redis(connection_pool=readers)

    async def _hello(self) -> Any:
        connection = await self._pool.get_connection()
        try:
            await connection.send_command("HELLO")
            return await connection.read_response()
        finally:
            await self._pool.release(connection)

    def _new_pools(self) -> tuple[Pool, ConnectionPool]:
        options: dict[str, Any] = {
            **parse_url(self.url),
            "protocol": 3,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": FREE_SECONDS,
            "socket_keepalive": True,
            # Redis's cloud tells of moves this way; asking for it costs a round trip, and with it redis-py
            # does not look whether a pooled connection is still alive.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        size, idle = self._sizes
        readers = ConnectionPool(max_connections=MANY, **{**options, "socket_timeout": CALL_SECONDS})
        return Pool(size, idle, **{**options, "socket_timeout": None}), readers

    def _not_connected(self, error: Exception) -> ConnectFailed:
        reason = str(error).rstrip(".") or type(error).__name__
        if isinstance(error, AuthenticationError):
            return LoginRefused(
                f"The server at {self._address} does not let us in: {reason}.",
                broker=self.broker,
                remedy="check user and password in the address: redis://user:password@host:port",
            )
        return ConnectFailed(
            f"No Redis or Valkey server answers at {self._address}: {reason}.",
            broker=self.broker,
            remedy="check the address, and that the broker runs",
        )

    @property
    def _address(self) -> str:
        """The address without the password."""
        scheme, separator, rest = self.url.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"

    async def _disconnect(self) -> None:
        native, self._native = self.native, None
        await native.aclose()
        await self._pool.aclose()
        await self._readers.aclose()
        await self._readers.connection_pool.aclose()
