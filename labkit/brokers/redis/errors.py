"""What redis-py's errors mean, how long it is waited for an answer, and whether a message was sent at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis import exceptions as native

from labkit.brokers.client import CALL_SECONDS
from labkit.errors import (
    BrokerError,
    Conflict,
    ConnectionLost,
    LoginRefused,
    NoAnswer,
    NotAllowed,
    NotFound,
    PublishConflict,
    PublishFailed,
    PublishInDoubt,
    PublishNotAllowed,
    PublishRefused,
    SettleFailed,
    Unsupported,
)

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = [
    "LOST",
    "NoFreeConnection",
    "NotSent",
    "asking",
    "meaning",
    "not_published",
    "publish",
    "settle",
    "source",
]

BROKER = "redis"
LARGE = 1024 * 1024
"""Bytes in a message up to which no server can be told to refuse it for its size."""

LOST = (native.ConnectionError, native.TimeoutError, OSError, ConnectionLost, NoAnswer)
"""What a subscriber meets when the broker is away, and what it waits for to pass."""


class NotSent(native.ConnectionError):
    """No connection could be had, so the command was certainly not sent; why is ``__cause__``."""


class NoFreeConnection(native.ConnectionError):
    """All connections of the pool were in use for too long."""


_TYPES: dict[type[BrokerError], str] = {
    Conflict: "choose another name, or delete what has this one",
    ConnectionLost: "check that the broker runs, then try again",
    LoginRefused: "check user and password in the address: redis://user:password@host:port",
    NoAnswer: "check that the broker runs; it may have done it all the same",
    NotAllowed: "ask for the right with ACL SETUSER, or log in as another user",
    NotFound: "make it first, or check the name",
    Unsupported: "use a newer server",
    BrokerError: "",
}
_PREFIXES: dict[str, type[BrokerError]] = {
    "WRONGTYPE": Conflict,
    "BUSYGROUP": Conflict,
    "NOGROUP": NotFound,
    "no such key": NotFound,
    "The XGROUP subcommand requires the key to exist": NotFound,
    "unknown command": Unsupported,
    "unknown subcommand": Unsupported,
}


@asynccontextmanager
async def asking(what: str, remedy: str = "") -> AsyncIterator[None]:
    """Give the calls inside 5 seconds, and turn redis-py's errors into ours. ``what`` did not succeed."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (native.RedisError, OSError) as error:
        raise meaning(error, what, remedy) from source(error)


# The next two are on the way of every message, and write out what ``asking`` does: a context manager of this
# kind costs several microseconds, and words that nobody reads as much again.


async def settle(client: RedisClient, command: tuple[Any, ...], what: Callable[[], str], remedy: str) -> Any:
    """Send an acknowledgement and return the answer. Whatever goes wrong, it was not taken.

    ``what()`` says what did not succeed; it is only called if that is so.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await client.execute(*command)
    except (native.RedisError, OSError) as error:
        raise SettleFailed(f"{what()}: {_reason(error)}.", broker=BROKER, remedy=remedy) from source(error)


async def publish(client: RedisClient, command: tuple[Any, ...], name: str, size: int) -> Any:
    """Send a message of ``size`` bytes and return the answer; without one it is refused, or in doubt."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await client.execute(*command)
    except (native.RedisError, OSError) as error:
        limit = await client.largest_value() if was_cut_off(error, size) else None
        raise not_published(error, name, size, limit) from source(error)


def was_cut_off(error: Exception, size: int) -> bool:
    """Return whether this may be a message too large for the server, which then closes the connection.

    It does say why, but most often the connection breaks while we still write, before its word is read.
    """
    return size > LARGE and isinstance(error, native.ConnectionError) and not isinstance(error, NotSent)


def meaning(error: Exception, what: str, remedy: str = "") -> BrokerError:
    """Return what this error of redis-py means to whoever asked. ``what`` is what did not succeed."""
    kind = _kind(source(error))
    return kind(f"{what}: {_reason(error)}.", broker=BROKER, remedy=remedy or _TYPES[kind])


def not_published(error: Exception, name: str, size: int, limit: int | None = None) -> PublishFailed:
    """Return what this error means for a message of ``size`` bytes; ``limit`` is the server's, if known."""
    what = f"Redis did not take {size} bytes for {name!r}: "
    if limit is not None and size > limit:
        remedy = "send less, or raise proto-max-bulk-len"
        return PublishRefused(f"{what}it takes {limit} at most.", broker=BROKER, remedy=remedy)
    kind, remedy = _publish_kind(error)
    return kind(f"{what}{_reason(error)}.", broker=BROKER, remedy=remedy)


def source(error: Exception) -> Exception:
    """Return redis-py's own error: what was wrong with the connection, if none could be had."""
    cause = error.__cause__
    return cause if isinstance(error, NotSent) and isinstance(cause, Exception) else error


def _publish_kind(error: Exception) -> tuple[type[PublishFailed], str]:
    kind = _kind(source(error))
    if kind is NotAllowed:
        return PublishNotAllowed, _TYPES[kind]
    if kind is Conflict:
        return PublishConflict, _TYPES[kind]
    if isinstance(error, native.OutOfMemoryError):
        return PublishRefused, "read and delete messages, trim, or raise maxmemory"
    if isinstance(error, NotSent):
        return PublishRefused, _TYPES[kind]
    if isinstance(error, native.ResponseError | native.BusyLoadingError | native.DataError):
        return PublishRefused, "see what the server says"
    return PublishInDoubt, "check that the broker runs; it may have the message all the same"


def _kind(error: Exception) -> type[BrokerError]:
    if isinstance(error, native.AuthenticationError):
        return LoginRefused
    if isinstance(error, native.NoPermissionError):
        return NotAllowed
    if isinstance(error, TimeoutError | native.TimeoutError | NoFreeConnection | native.BusyLoadingError):
        return NoAnswer
    if isinstance(error, native.ConnectionError | OSError):
        return ConnectionLost
    words = str(error)
    return next((kind for prefix, kind in _PREFIXES.items() if words.startswith(prefix)), BrokerError)


def _reason(error: Exception) -> str:
    error = source(error)
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {CALL_SECONDS:g} s"
    return str(error).rstrip(". ") or type(error).__name__
