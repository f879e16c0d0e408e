"""What nats-py reports of a connection by itself: to the events, the problems, and whoever waits."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import nats.errors
from nats.aio.client import Client as NativeClient

from labkit.brokers.nats.denials import Denials
from labkit.brokers.nats.errors import reason, translate
from labkit.brokers.nats.listening import NatsSubscription
from labkit.brokers.nats.status import OnStatus, Status, StatusEvent
from labkit.errors import BrokerError, ConnectionLost

__all__ = ["Reports"]

KEPT = 1000

log = logging.getLogger("labkit")


class Reports:
    """What happened to one client's connection. ``callbacks`` are for nats-py's ``connect``."""

    def __init__(
        self,
        denials: Denials,
        listeners: Callable[[], Sequence[NatsSubscription[Any]]],
        on_status: OnStatus | None,
    ) -> None:
        self.events: deque[StatusEvent] = deque(maxlen=KEPT)
        self.problems: deque[BrokerError] = deque(maxlen=KEPT)
        self.pongs: set[asyncio.Future[bool]] = set()
        """Answers to pings that are waited for; a lost connection ends the waiting."""
        self._denials = denials
        self._listeners = listeners
        self._on_status = on_status
        self._native: NativeClient | None = None
        self._is_connecting = False

    @property
    def callbacks(self) -> dict[str, Any]:
        """What nats-py is to call, by the names it knows."""
        return {
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "closed_cb": self._on_closed,
        }

    def begin(self, native: NativeClient) -> None:
        """Report of this connection, which is being made."""
        self._native, self._is_connecting = native, True

    async def connected(self, version: str) -> None:
        """Say that the connection was made."""
        self._is_connecting = False
        await self._note(Status.CONNECTED, f"to NATS {version}")

    def end(self) -> None:
        """Take what comes from now on for what the program itself does: it gives the connection up."""
        self._native, self._is_connecting = None, False

    async def closed(self) -> None:
        """Say that the connection was closed, unless nats-py has said so."""
        if self.events[-1].kind is not Status.CLOSED:
            await self._note(Status.CLOSED, "by this program")

    async def _on_error(self, error: Exception) -> None:
        """Fail the first connection at once; later, let nats-py reconnect, and show what else it reports."""
        if self._is_connecting:
            raise error
        denied = self._denials.read(error)
        if denied is not None:
            self.problems.append(denied)
            await self._note(Status.NOT_ALLOWED, denied.what)
            self._denials.note(denied)
        elif isinstance(error, nats.errors.SlowConsumerError):
            await self._on_slow_consumer(error)
        elif not isinstance(error, OSError | nats.errors.StaleConnectionError | TimeoutError):
            self.problems.append(translate(error, "NATS reports a problem", ""))
            await self._note(Status.PROBLEM, reason(error))
            log.warning("NATS: %s", error)

    async def _on_slow_consumer(self, error: nats.errors.SlowConsumerError) -> None:
        """Count what was dropped; say it once for each time that a subscriber falls behind."""
        slow = next((one for one in self._listeners() if one.native is error.sub), None)
        words = f"{slow.name if slow else 'somebody'} on {error.subject} is too slow: messages are dropped"
        if slow is not None:
            slow.dropped += 1
        last = self.events[-1]
        if (last.kind, last.words) != (Status.SLOW_CONSUMER, words):
            await self._note(Status.SLOW_CONSUMER, words)

    async def _on_disconnected(self) -> None:
        self._denials.lose_connection()
        for pong in self.pongs:
            if not pong.done():
                pong.set_exception(nats.errors.UnexpectedEOF())
        if self._native is not None and not self._native.is_closed:
            await self._note(Status.DISCONNECTED, "the connection broke; connecting again until it is back")

    async def _on_reconnected(self) -> None:
        self._denials.forget()
        await self._note(Status.RECONNECTED, "every subscription is back")
        for one in self._listeners():
            one.hear_reconnected()

    async def _on_closed(self) -> None:
        if self._native is None:
            await self._note(Status.CLOSED, "by this program")
        else:
            await self._on_given_up(self._native.last_error)

    async def _on_given_up(self, error: Exception | None) -> None:
        """Tell every subscriber that nats-py does not try any more: the server sent what it cannot mend."""
        words = reason(error) if error else "nats-py closed it"
        await self._note(Status.CLOSED, words)
        lost = ConnectionLost(
            f"The connection to NATS was closed for good: {words}.",
            broker="nats",
            remedy="close this client, and open it again",
        )
        self.problems.append(lost)
        for one in self._listeners():
            one.hear_closed(lost)

    def note_drain_timed_out(self, subscription: NatsSubscription[Any]) -> None:
        """Say that a handler was not done in time."""
        words = f"{subscription.name} on {subscription.channel.name} was not done with what had arrived"
        self.events.append(StatusEvent(Status.DRAIN_TIMED_OUT, time.time(), words))
        log.warning("NATS: %s in time", words)

    async def _note(self, kind: Status, words: str) -> None:
        event = StatusEvent(kind, time.time(), words)
        self.events.append(event)
        if self._on_status is not None:
            result = self._on_status(event)
            if inspect.isawaitable(result):
                await result
