"""One arrival of a message at a subscriber."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.message import Message

__all__ = ["Delivery"]


class Delivery:
    """A message that reached a subscriber.

    ``redelivered`` is what the broker says about an earlier attempt; None where it says nothing. ``native``
    is the client library's own object.
    """

    # Not a frozen dataclass: the neutral message is made when somebody looks, which costs the others nothing.
    __slots__ = ("_message", "_read", "native", "redelivered")

    def __init__(self, native: Any, read: Callable[[Any], Message], redelivered: bool | None = None) -> None:
        self.native = native
        self.redelivered = redelivered
        self._read = read
        self._message: Message | None = None

    @property
    def message(self) -> Message:
        """The message in the lab's own words."""
        if self._message is None:
            self._message = self._read(self.native)
        return self._message

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return self.message.data

    @property
    def value(self) -> Any:
        """The payload as JSON. Raises ``PayloadError`` if it is none."""
        return self.message.value

    def __repr__(self) -> str:
        again = ", redelivered" if self.redelivered else ""
        return f"<Delivery {self.message.channel}: {self.data[:60]!r}{again}>"
