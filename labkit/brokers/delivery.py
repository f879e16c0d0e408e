"""One arrival of a message at a subscriber."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from labkit.message import Message, decode

__all__ = ["Delivery", "OpenDelivery"]


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
        return decode(self.data)

    def __repr__(self) -> str:
        again = ", redelivered" if self.redelivered else ""
        return f"<Delivery {self.message.channel}: {self.data[:60]!r}{again}>"


class OpenDelivery(Delivery, ABC):
    """A delivery that the broker waits to hear about: done, or not.

    ``async with delivery:`` acknowledges it at the end, and gives it back if the work raised. How a broker
    calls these, and what else it has (nack, reject, term), stands in its own class.
    """

    __slots__ = ("is_settled",)

    def __init__(self, native: Any, read: Callable[[Any], Message], redelivered: bool | None = None) -> None:
        super().__init__(native, read, redelivered)
        self.is_settled = False

    @abstractmethod
    async def ack(self) -> None:
        """Tell the broker that this message is done with. Raises ``SettleFailed`` if it can hear no more."""

    @abstractmethod
    async def give_back(self) -> None:
        """Tell the broker that the work on it failed, as an error inside ``async with delivery:`` does."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_settled:
            return
        await (self.ack() if error is None else self.give_back())
