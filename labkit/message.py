"""What travels: one message, and one delivery of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labkit.errors import PayloadError

__all__ = ["Message", "decode", "encode"]


def encode(value: object) -> bytes:
    """Return the bytes to send for ``value``: bytes as they are, anything else as compact JSON.

    Raises ``PayloadError`` for a value that JSON cannot carry.
    """
    if isinstance(value, bytes):
        return value
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise PayloadError(
            f"A {type(value).__name__} cannot be sent as JSON: {error}.",
            remedy="send a dict, list, string or number, or bytes you encoded yourself",
        ) from error


def decode(data: bytes) -> Any:
    """Return the JSON value in ``data``. Raises ``PayloadError`` if it holds none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise PayloadError(
            f"These {len(data)} bytes are not JSON: {data[:40]!r}.",
            remedy="read message.data, the bytes as sent",
        ) from error


# Not frozen: that takes three times as long to make, and every observed message is made. mypy keeps it whole.
@dataclass(slots=True, unsafe_hash=True)
class Message:
    """One message as it was sent or received.

    ``data`` are the bytes on the wire; ``channel`` is the address the broker knows it by (NATS subject,
    RabbitMQ routing key, Redis channel, Kafka topic); ``key`` is Kafka's record key, else None;
    ``headers`` is None where there are none (Redis Pub/Sub cannot carry any); ``native`` is the client's own
    object, None on the way out. Unknown is None, never a guess.
    """

    data: Final[bytes]
    channel: Final[str]
    key: Final[str | None] = None
    headers: Final[Mapping[str, str] | None] = None
    native: Final[Any] = None

    @property
    def value(self) -> Any:
        """The payload as JSON. Raises ``PayloadError`` if it is none; ``data`` always works."""
        return decode(self.data)
