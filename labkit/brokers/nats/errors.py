"""What nats-py's errors mean, and how long it is waited for an answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import nats.js.errors as js

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.nats.denials import REPLIES, Denials
from labkit.errors import (
    BrokerError,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    LoginRefused,
    NoAnswer,
    NotFound,
    PublishFailed,
    PublishInDoubt,
    PublishNotFound,
    PublishRefused,
    Unsupported,
)

__all__ = ["NATIVE", "asking", "connect_error", "publish_error", "read_answer", "reason", "translate"]

NATIVE = (nats.errors.Error, OSError, TimeoutError, ValueError)
"""Everything nats-py raises; a ValueError where a name is malformed."""

AWAY = (
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.ConnectionDrainingError,
    nats.errors.StaleConnectionError,
    nats.errors.OutboundBufferLimitError,
)
QUESTION = "publish to $js."
TAKEN = {10058, 10065, 10012, 10013, 10148, 10099, 10100, 10101}
"""JetStream's numbers for: exists otherwise, subjects overlap, cannot be changed so, one consumer only."""


@asynccontextmanager
async def asking(what: str, remedy: str, denials: Denials, *acts: str) -> AsyncIterator[None]:
    """Give the calls inside 5 seconds, and turn nats-py's errors into ours.

    ``acts`` is what the calls publish and subscribe to; if the server refuses one of them, the calls end at
    once with ``NotAllowed``. If the connection is lost meanwhile, they end at once with ``ConnectionLost``.
    """
    losses = denials.losses
    denied = denials.take(REPLIES) if any(act.startswith(QUESTION) for act in acts) else None
    if denied is not None:
        raise denied from denied.__cause__
    try:
        async with asyncio.timeout(CALL_SECONDS) as limit:
            with denials.watched(limit, *acts, REPLIES):
                yield
    except NATIVE as error:
        denied = denials.take(*acts, REPLIES)
        if denied is not None:
            raise denied from denied.__cause__
        if denials.losses > losses:
            raise translate(nats.errors.UnexpectedEOF(), what, remedy) from error
        raise translate(error, what, remedy) from error


def translate(error: BaseException, what: str, remedy: str) -> BrokerError:
    """Return our error for one of nats-py's; ``what`` is the half sentence of what did not happen."""
    kind, better = _meaning(error)
    return kind(f"{what}: {reason(error)}.", broker="nats", remedy=better or remedy)


def _meaning(error: BaseException) -> tuple[type[BrokerError], str]:
    if isinstance(error, TimeoutError):
        return NoAnswer, ""
    if isinstance(error, (*AWAY, OSError)):
        return ConnectionLost, "check that the broker runs; the client connects again by itself"
    if isinstance(error, js.APIError):
        if error.err_code in TAKEN:
            return Conflict, "take another name, or delete what is there, or ask for it as it is"
        if isinstance(error, js.NotFoundError):
            return NotFound, ""
        if isinstance(error, js.ServiceUnavailableError) and error.err_code is None:
            return Unsupported, "start nats-server with --jetstream"
    return BrokerError, ""


def read_answer(data: bytes) -> dict[str, Any]:
    """Return what JetStream says to a message. Raises nats-py's ``APIError`` if it did not take it."""
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        js.APIError.from_error(answer["error"])
    return answer


def publish_error(error: BaseException, size: int, subject: str) -> PublishFailed:
    """Return what it means that a publish of ``size`` bytes to this subject failed."""
    if isinstance(error, TimeoutError):
        return PublishInDoubt(
            f"NATS did not confirm {size} bytes for {subject}: {reason(error)}.",
            broker="nats",
            remedy="publish again with the same message_id; a stream drops it if it has it already",
        )
    kind = PublishNotFound if isinstance(error, js.NoStreamResponseError) else PublishRefused
    return kind(
        f"NATS did not take {size} bytes for {subject}: {reason(error)}.",
        broker="nats",
        remedy=_publish_remedy(error, subject),
    )


def _publish_remedy(error: BaseException, subject: str) -> str:
    if isinstance(error, js.NoStreamResponseError):
        return f"make a stream whose subjects include {subject!r}, or publish to one that a stream has"
    if isinstance(error, nats.errors.MaxPayloadError):
        return "send less, or raise max_payload in the server's configuration (1 MiB unless it says more)"
    if isinstance(error, js.APIError):
        return "read what the stream's limits say: `await stream.info()`"
    return "check the subject and the headers, and that the broker runs"


def connect_error(error: BaseException, url: str) -> ConnectFailed:
    """Return what it means that no connection could be made."""
    words = reason(error)
    if isinstance(error, ssl.SSLError) or "authorization" in words.lower():
        return LoginRefused(
            f"The NATS server at {_without_password(url)} does not let us in: {words}.",
            broker="nats",
            remedy="check user, password and certificates: nats://user:password@host:port, or tls=",
        )
    return ConnectFailed(
        f"No NATS server answers at {_without_password(url)}: {words}.",
        broker="nats",
        remedy="check the address, and that the broker runs",
    )


def _without_password(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def reason(error: BaseException) -> str:
    """Return the reason in words, without the library's own prefix."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, js.NoStreamResponseError):
        return "no stream has this subject"
    if isinstance(error, nats.errors.OutboundBufferLimitError):
        return "the connection is lost and the buffer for it is full"
    if isinstance(error, js.APIError):
        number = f" (JetStream error {error.err_code})" if error.err_code else ""
        return f"{error.description or 'no JetStream here'}{number}"
    if isinstance(error, nats.errors.UnexpectedEOF):
        return "the connection is lost"
    return str(error).removeprefix("nats: ").strip("'\"") or type(error).__name__
