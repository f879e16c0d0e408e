"""The connections that commands share: so many and no more, and those that nobody uses are closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from labkit.brokers.redis.errors import NoFreeConnection, NotSent

__all__ = ["FREE_SECONDS", "Pool", "PoolUse"]

FREE_SECONDS = 2.0
"""The longest a command waits for a free connection, and the longest it then waits to be connected.

Together less than a call may take, so that whoever calls learns which of the two it was.
"""

IDLE_SECONDS = 1.0
"""How long a connection above the stated number must have been of no use before it is closed."""


class PoolUse(NamedTuple):
    """How many connections a pool may have, how many are at work, and how many wait for work."""

    size: int
    in_use: int
    idle: int


class Pool(ConnectionPool):
    """redis-py's pool, with stated sizes.

    redis-py has a pool that waits when all connections are in use, and none that closes idle ones. This does
    both, and marks what failed before anything was sent, which redis-py does not tell apart.
    """

    def __init__(self, size: int, idle: int, **options: Any) -> None:
        super().__init__(max_connections=size, **options)
        self.size = size
        self.idle = idle
        self.idle_seconds = IDLE_SECONDS
        self._free = asyncio.Semaphore(size)
        self._fewest_idle = 0
        self._tidying: asyncio.Task[None] | None = None

    @property
    def use(self) -> PoolUse:
        """How the pool is used now."""
        idle = sum(connection.is_connected for connection in self._available_connections)
        return PoolUse(self.size, len(self._in_use_connections), idle)

    async def get_connection(
        self, command_name: Any = None, *keys: Any, **options: Any
    ) -> AbstractConnection:
        """Return a connection that is ready. Raises ``NotSent``, whose cause says why there is none."""
        try:
            await self._wait_for_free()
        except NoFreeConnection as error:
            raise NotSent(str(error)) from error
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        self._fewest_idle = min(self._fewest_idle, len(self._available_connections))
        try:
            await self._make_ready(connection)
        except (RedisError, OSError) as error:
            await self.release(connection)
            raise NotSent(str(error) or f"no connection within {FREE_SECONDS:g} s") from error
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _wait_for_free(self) -> None:
        if not self._free.locked():  # the usual case, without a timer
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(FREE_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise NoFreeConnection(
                f"all {self.size} connections of the pool were in use for {FREE_SECONDS:g} s; "
                "do less at once, or open the client with a larger pool"
            ) from error

    async def _make_ready(self, connection: AbstractConnection) -> None:
        # What can be read before anything was asked is the end of the connection, or left from a broken call.
        if connection.is_connected and not await connection.can_read():
            return
        async with asyncio.timeout(FREE_SECONDS):
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back. redis-py would also tell whoever watches its pools, on each command."""
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._free.release()
        if len(self._available_connections) > self.idle and self._tidying is None:
            self._tidying = asyncio.create_task(self._tidy(), name="close idle connections to Redis")

    async def _tidy(self) -> None:
        """Close those above ``idle`` that stayed idle for a while, until there are none."""
        while len(self._available_connections) > self.idle:
            self._fewest_idle = len(self._available_connections)
            await asyncio.sleep(self.idle_seconds)
            surplus = max(0, self._fewest_idle - self.idle)
            # The pool hands out the last; the first ones are those that nobody needed.
            unused = self._available_connections[:surplus]
            del self._available_connections[:surplus]
            for connection in unused:
                with suppress(RedisError, OSError):
                    await connection.disconnect()
        self._tidying = None

    async def aclose(self) -> None:
        """Close every connection."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
        await super().aclose()
