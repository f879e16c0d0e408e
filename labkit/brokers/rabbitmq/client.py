"""A connection to RabbitMQ.

aio-pika's robust connection: after a broken connection it tries five times a second, for ever, and makes
again what this client declared and consumed. Until all of that is there, ``publish`` raises at once: a
RabbitMQ that keeps its bindings in Mnesia can lose the newest of them when it is killed (measured on 4.0.5:
about one kill in a hundred), and would confirm a message and drop it. A publish that was under way when the
connection broke raises too: nobody knows whether the broker had it, and nobody sends it again behind the
caller's back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiormq.abc
from aio_pika import RobustConnection
from aio_pika.abc import AbstractRobustChannel
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from labkit.brokers.client import CONNECT_SECONDS, BrokerClient, keep_log_quiet
from labkit.brokers.rabbitmq.channels.exchange import Exchange, ExchangeKind
from labkit.brokers.rabbitmq.channels.queue import Binding, Queue, QueueKind
from labkit.errors import ConnectFailed
from labkit.events import Observer

__all__ = ["RabbitmqClient"]

RECONNECT_SECONDS = 0.2
"""Pause between attempts. aio-pika's own 5 s would leave a subscriber deaf that long after a restart."""


class RabbitmqClient(BrokerClient):
    """One connection to a RabbitMQ server.

    Each exchange, queue and subscriber has an AMQP channel of its own, because an AMQP error closes the
    channel it happened on.
    """

    broker = "rabbitmq"
    _native: RobustConnection | None = None

    def __init__(self, url: str, observer: Observer | None = None) -> None:
        super().__init__(url, observer)
        # aio-pika restores only what somebody still holds on to.
        self._exchanges: dict[str, Exchange] = {}
        self._queues: dict[str, Queue] = {}
        self._restored = asyncio.Event()

    @property
    def native(self) -> RobustConnection:
        """The connection of aio-pika. Raises ``ChannelClosed`` before it was opened."""
        if self._native is None:
            self.require_open()
        assert self._native is not None
        return self._native

    async def exchange(self, name: str, kind: ExchangeKind = "topic") -> Exchange:
        """Declare a durable exchange and return it. ``kind`` is direct, topic, fanout or headers.

        Raises ``BrokerError`` if an exchange of this name exists and is of another kind.
        """
        known = self._exchanges.get(name)
        if known is not None and known.exchange_kind == kind:
            return known
        exchange = Exchange(self, name, kind)
        await exchange.declare()
        self._exchanges[name] = exchange
        return exchange

    async def queue(
        self,
        name: str,
        *,
        bind: Binding | None = None,
        kind: QueueKind = "classic",
        exclusive: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> Queue:
        """Declare a queue, bind it if asked to, and return it. From now on it collects messages.

        A queue is durable: it stays, with its messages, when nobody consumes from it and when the broker is
        restarted. An ``exclusive`` one belongs to this connection and goes when its subscriber leaves.
        ``bind`` is an exchange with a binding key: ``(orders, "order.created.#")``; for a headers exchange
        the key is a dictionary. ``arguments`` are RabbitMQ's own (``{"x-message-ttl": 60000}``).

        Raises ``BrokerError`` if a queue of this name exists and was made differently.
        """
        asked = Queue(self, name, kind, exclusive, dict(arguments or {}))
        queue = self._queues.get(name)
        if queue is None or queue.settings != asked.settings:
            await asked.declare()
            queue = self._queues[name] = asked
        if bind is not None:
            await queue.bind(*bind)
        return queue

    def forget(self, channel: Exchange | Queue) -> None:
        """Do not make this exchange or queue again after a broken connection."""
        known: dict[str, Any] = self._exchanges if isinstance(channel, Exchange) else self._queues
        if known.get(channel.name) is channel:
            del known[channel.name]

    @property
    def is_restored(self) -> bool:
        """Whether the connection is there, with everything this client made on it."""
        return self._restored.is_set()

    async def restored(self) -> None:
        """Wait until ``is_restored``."""
        await self._restored.wait()

    async def robust_channel(self) -> AbstractRobustChannel:
        """Return a new AMQP channel that comes back, with what was made on it, after a broken connection."""
        native = self.native
        await native.ready()
        channel = native.channel()
        await channel.initialize()
        assert isinstance(channel, AbstractRobustChannel)
        return channel

    async def plain_channel(self) -> aiormq.abc.AbstractChannel:
        """Return a new AMQP channel for one question; it is not restored."""
        native = self.native
        await native.ready()
        assert native.transport is not None
        return await native.transport.connection.channel(publisher_confirms=False)

    async def _connect(self) -> None:
        keep_log_quiet("aio_pika", "aiormq")
        native = RobustConnection(make_url(self.url, reconnect_interval=RECONNECT_SECONDS))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await native.connect()
        except (*CONNECTION_EXCEPTIONS, ValueError) as error:
            await native.close()
            raise ConnectFailed(
                f"No RabbitMQ server lets us in at {_without_password(self.url)}: {error!r}.",
                broker=self.broker,
                remedy="check the address, user, password and virtual host, and that the broker runs",
            ) from error
        native.close_callbacks.add(self._lost)
        native.reconnect_callbacks.add(self._back)
        self._restored.set()
        self._native = native

    def _lost(self, *_: object) -> None:
        self._restored.clear()

    def _back(self, *_: object) -> None:
        self._restored.set()

    async def _disconnect(self) -> None:
        native, self._native = self.native, None
        self._exchanges.clear()
        self._queues.clear()
        await native.close()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
