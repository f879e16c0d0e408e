"""A connection to NATS.

It reconnects for ever, ten times a second. While it is away, ``publish`` still returns: nats-py keeps up to
2 MiB of messages and sends them when the connection is back. What was already written to a socket that broke
is gone, and nobody says so: core NATS delivers at most once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import Any

import nats.errors
from nats.aio.client import Client as NativeClient
from nats.js import JetStreamContext

from labkit.brokers.client import CALL_SECONDS, CONNECT_SECONDS, BrokerClient
from labkit.brokers.nats.channels.stream import Stream
from labkit.brokers.nats.channels.subject import Subject
from labkit.brokers.nats.denials import Denials, publishing
from labkit.brokers.nats.errors import NATIVE, asking, connect_error, translate
from labkit.brokers.nats.listening import GOODBYE_SECONDS, NatsSubscription
from labkit.brokers.nats.replies import Replies
from labkit.brokers.nats.reports import Reports
from labkit.brokers.nats.status import OnStatus, Status, StatusEvent
from labkit.errors import BrokerError, ConnectionLost, NoAnswer
from labkit.events import Observer

__all__ = ["NatsClient"]

RECONNECT_SECONDS = 0.1
"""Pause between attempts. nats-py's own 2 s would leave a subscriber deaf that long after a restart."""

PING_SECONDS = 10.0
"""Pause between pings. A server that leaves two unanswered is given up, and the client connects again."""

DRAIN_SECONDS = 5.0
RESTORED_SECONDS = 20.0


class NatsClient(BrokerClient):
    """One connection to a NATS server.

    ``reconnect_wait`` and ``ping_interval`` are seconds; ``drain_seconds`` is the longest that ``close``
    waits for handlers to be done with what has arrived. ``on_status`` is called with each ``StatusEvent``.
    Everything else goes to nats-py as it is: ``user``, ``password``, ``token``, ``nkeys_seed``,
    ``inbox_prefix`` and so on.
    """

    broker = "nats"

    def __init__(
        self,
        url: str,
        observer: Observer | None = None,
        *,
        reconnect_wait: float = RECONNECT_SECONDS,
        ping_interval: float = PING_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
        tls: ssl.SSLContext | None = None,
        on_status: OnStatus | None = None,
        **options: Any,
    ) -> None:
        super().__init__(url, observer)
        self.drain_seconds = drain_seconds
        self.denials = Denials()
        self.replies = Replies(self.denials)
        self.reports = Reports(self.denials, self._listeners, on_status)
        self.is_secured = False
        """Whether this server knows users, who may not do everything."""
        self._options = {"reconnect_time_wait": reconnect_wait, "ping_interval": ping_interval, **options}
        if tls is not None:
            self._options["tls"] = tls
        self._native: NativeClient | None = None
        self._jetstream: JetStreamContext | None = None

    @property
    def events(self) -> deque[StatusEvent]:
        """What happened to the connection, oldest first; the newest thousand."""
        return self.reports.events

    @property
    def problems(self) -> deque[BrokerError]:
        """What the server or nats-py complained of without an answer to any call; the newest thousand."""
        return self.reports.problems

    @property
    def native(self) -> NativeClient:
        """The connection of nats-py. Raises ``ChannelClosed`` before it was opened."""
        if self._native is None:
            self.require_open()
        assert self._native is not None
        return self._native

    @property
    def jetstream(self) -> JetStreamContext:
        """nats-py's JetStream. Raises ``ChannelClosed`` before the connection was opened."""
        if self._native is None or self._jetstream is None:
            self.require_open()
        assert self._jetstream is not None
        return self._jetstream

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._native is not None and self._native.is_connected

    @property
    def status(self) -> Status:
        """What the connection is now: connected, disconnected (and trying), or closed."""
        if self._native is None or self._native.is_closed:
            return Status.CLOSED
        return Status.CONNECTED if self._native.is_connected else Status.DISCONNECTED

    def subject(self, name: str) -> Subject:
        """Return a subject: ``orders.created``, or ``orders.*`` and ``orders.>`` to subscribe to many."""
        return Subject(self, name)

    async def stream(self, name: str, *, subjects: list[str] | None = None, **settings: Any) -> Stream:
        """Return a stream, made if there is none of this name: a store of all that its subjects get.

        ``subjects`` is ``[name]`` if nothing is said. See ``Stream.declare`` for the settings. Raises
        ``Conflict`` if it exists with other settings.
        """
        stream = Stream(self, name)
        await stream.declare(subjects=subjects, **settings)
        return stream

    async def find_stream(self, name: str) -> Stream:
        """Return a stream that exists, as it is. Raises ``NotFound``."""
        stream = Stream(self, name)
        await stream.info()
        return stream

    async def flush(self) -> None:
        """Wait until the server has read all that was sent.

        Raises ``NotAllowed`` if it refused a publish or subscribe of which nobody was told yet;
        ``ConnectionLost`` or ``NoAnswer`` if it cannot be reached.
        """
        async with asking("NATS did not answer a ping", "check that the broker runs", self.denials):
            await self.reach()
        denied = self.denials.take_any()
        if denied is not None:
            raise denied

    async def reach(self, seconds: float = CALL_SECONDS) -> None:
        """Wait until the server has read all that was sent; raises nats-py's errors.

        Not nats-py's ``flush``. That sends its ping ahead of what nats-py still holds, so the answer proves
        nothing; and once it was given up, the answer that comes late ends nats-py's reading (2.16).
        """
        native = self.native
        pong = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(seconds):
            await native._flush_pending(force_flush=True)
            if not native.is_connected:
                raise nats.errors.ConnectionReconnectingError
            self.reports.pongs.add(pong)
            try:
                await native._send_ping(pong)
                await asyncio.shield(pong)
            finally:
                self.reports.pongs.discard(pong)

    async def restored(self) -> None:
        """Wait until the server answers, over a lost connection too; everybody is then subscribed again.

        Raises ``NoAnswer`` if that takes longer than 20 seconds.
        """
        try:
            async with asyncio.timeout(RESTORED_SECONDS):
                while not await self._answers():  # noqa: ASYNC110  # nats-py does not say when it is ready
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise translate(error, "NATS did not come back", "check that the broker runs") from error

    async def _answers(self) -> bool:
        try:
            async with asking("NATS did not answer a ping", "", self.denials):
                await self.reach()
        except (ConnectionLost, NoAnswer):
            return False
        return True

    async def check_allowed(self, subject: str) -> None:
        """Raise ``NotAllowed`` if the server refused a publish to this subject of which nobody was told yet.

        The first time for a subject, wait until the server has read the publish. Raises nats-py's errors.
        """
        act = publishing(subject)
        if self.is_secured and act not in self.denials.allowed and self.is_connected:
            await self.reach()
            if act not in self.denials.unheard:
                self.denials.allow(act)
        denied = self.denials.take(act)
        if denied is not None:
            raise denied

    async def close(self) -> None:
        """Drain every subscriber that has a handler, close all, then the connection.

        Raises the first error a handler left behind.
        """
        if self._is_open:
            me = asyncio.current_task()  # a handler that closes its own client cannot wait for itself
            await asyncio.gather(*(one.drain() for one in self._listeners() if one._worker is not me))
        await super().close()

    def _listeners(self) -> list[NatsSubscription[Any]]:
        return [one for one in self._subscriptions if isinstance(one, NatsSubscription)]

    async def _connect(self) -> None:
        native = NativeClient()
        self.reports.begin(native)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await native.connect(
                    self.url,
                    name="broker-lab",
                    max_reconnect_attempts=-1,
                    **self.reports.callbacks,
                    **self._options,
                )
        except NATIVE as error:
            self.reports.end()
            with suppress(AssertionError):  # of an address it could not even read
                await native.close()
            raise connect_error(error, self.url) from error
        self._native = native
        self._jetstream = native.jetstream(timeout=CALL_SECONDS)
        self.is_secured = bool(native._server_info.get("auth_required"))
        await self.reports.connected(str(native._server_info.get("version")))

    async def _disconnect(self) -> None:
        with suppress(OSError, nats.errors.Error):  # the broker is gone; so is what it had not read
            await self.reach(GOODBYE_SECONDS)
        native, self._native = self.native, None
        self._jetstream = None
        self.reports.end()
        with suppress(OSError):  # the connection broke while it was being closed
            await native.close()
        await self.reports.closed()
