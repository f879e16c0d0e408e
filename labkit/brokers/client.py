"""What every client shares: it is opened once, knows what it opened, and closes all of it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from labkit.errors import ChannelClosed
from labkit.events import Kind, Meter, Observer, Place

if TYPE_CHECKING:
    from labkit.brokers.subscription import Subscription

__all__ = ["CALL_SECONDS", "CONNECT_SECONDS", "BrokerClient", "keep_log_quiet", "was_cancelled"]

CONNECT_SECONDS = 5.0
"""The longest a client waits for its first connection."""

CALL_SECONDS = 5.0
"""The longest any single question to a broker may take before it fails with a clear error."""


class BrokerClient(ABC):
    """One program's connection to one broker. Killed and restarted, the broker finds it still there."""

    broker: ClassVar[str]

    def __init__(self, url: str, observer: Observer | None = None) -> None:
        self.url = url
        self._observer = observer
        self._subscriptions: dict[Subscription[Any], None] = {}
        self._is_open = False

    async def open(self) -> Self:
        """Connect. Raises ``ConnectFailed`` at once if nobody answers there, or the broker refuses."""
        if not self._is_open:
            await self._connect()
            self._is_open = True
        return self

    async def close(self) -> None:
        """Close every subscription, then the connection. Raises the first error a handler left behind."""
        if not self._is_open:
            return
        self._is_open = False
        errors = [await subscription.shut() for subscription in list(self._subscriptions)]
        await self._disconnect()
        for error in errors:
            if error is not None:
                raise error

    @abstractmethod
    async def _connect(self) -> None: ...

    @abstractmethod
    async def _disconnect(self) -> None: ...

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def require_open(self) -> None:
        """Raise ``ChannelClosed`` unless this client is open."""
        if not self._is_open:
            raise ChannelClosed(
                f"This {type(self).__name__} is closed.",
                broker=self.broker,
                remedy="open it first: `async with client:` or `await client.open()`",
            )

    def meter(self, kind: Kind, channel: str, name: str) -> Meter | None:
        """Return what counts this kind of event at this place, None if nobody wants to know."""
        if self._observer is None:
            return None
        return self._observer.meter(kind, Place(self.broker, channel, name))

    def adopt(self, subscription: Subscription[Any]) -> None:
        """Close this subscription with the client, unless it is closed before."""
        self._subscriptions[subscription] = None

    def release(self, subscription: Subscription[Any]) -> None:
        """Forget a subscription that was closed."""
        self._subscriptions.pop(subscription, None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'open' if self._is_open else 'closed'}>"


def keep_log_quiet(*names: str) -> None:
    """Keep a client library from printing what it logs, unless the program has set up logging.

    These libraries log every attempt to reconnect. A killed broker is a lesson here, not an accident, and
    the errors reach the caller anyway.
    """
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())


def was_cancelled() -> bool:
    """Return whether somebody cancelled this task.

    Client libraries also raise ``CancelledError`` when a task of their own was cancelled.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
