"""A connection to NATS.

It reconnects for ever, ten times a second. While it is away, ``publish`` still returns: nats-py keeps up to
2 MiB of messages and sends them when the connection is back. What was already written to a socket that broke
is gone, and nobody says so: core NATS delivers at most once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import nats
import nats.errors
from nats.aio.client import Client as NativeClient

from labkit.brokers.client import CONNECT_SECONDS, BrokerClient
from labkit.brokers.nats.channels.subject import Subject
from labkit.errors import ConnectFailed

__all__ = ["NatsClient"]

RECONNECT_SECONDS = 0.1
"""Pause between attempts. nats-py's own 2 s would leave a subscriber deaf that long after a restart."""

GOODBYE_SECONDS = 1.0

log = logging.getLogger("labkit")


class NatsClient(BrokerClient):
    """One connection to a NATS server."""

    broker = "nats"
    _native: NativeClient | None = None

    @property
    def native(self) -> NativeClient:
        """The connection of nats-py. Raises ``ChannelClosed`` before it was opened."""
        if self._native is None:
            self.require_open()
        assert self._native is not None
        return self._native

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._native is not None and self._native.is_connected

    def subject(self, name: str) -> Subject:
        """Return a subject: ``orders.created``, or ``orders.*`` and ``orders.>`` to subscribe to many."""
        return Subject(self, name)

    async def _connect(self) -> None:
        native = NativeClient()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await native.connect(
                    self.url,
                    name="broker-lab",
                    reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]  # annotated int, takes a float
                    max_reconnect_attempts=-1,
                    ping_interval=10,
                    error_cb=self._on_error,
                )
        except (OSError, nats.errors.Error, TimeoutError, ValueError) as error:
            await native.close()
            raise ConnectFailed(
                f"No NATS server answers at {self.url}: {error or type(error).__name__}.",
                broker=self.broker,
                remedy="check the address, and that the broker runs",
            ) from error
        self._native = native

    async def _on_error(self, error: Exception) -> None:
        """Fail the first connection at once; later, let nats-py reconnect, and show what else it reports."""
        if self._native is None:
            raise error
        lost = isinstance(error, OSError | nats.errors.UnexpectedEOF | nats.errors.StaleConnectionError)
        if not lost and not isinstance(error, TimeoutError):
            log.warning("NATS: %s", error)

    async def _disconnect(self) -> None:
        native, self._native = self.native, None
        try:
            if native.is_connected:
                await native.flush(GOODBYE_SECONDS)  # type: ignore[arg-type]  # annotated int, takes a float
        except (OSError, nats.errors.Error):
            pass  # the broker is gone; so is what it had not read
        with suppress(OSError):  # the connection broke while it was being closed
            await native.close()
