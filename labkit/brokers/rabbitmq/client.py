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
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar, Unpack
from urllib.parse import urlsplit

import aiormq.abc
from aio_pika import RobustConnection
from aio_pika.abc import AbstractRobustChannel
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AuthenticationError, ProbableAuthenticationError

from labkit.brokers.client import CONNECT_SECONDS, BrokerClient, keep_log_quiet
from labkit.brokers.rabbitmq.channels.any_queue import AnyQueue, Binding
from labkit.brokers.rabbitmq.channels.arguments import QueueKind, QueueOptions, queue_arguments
from labkit.brokers.rabbitmq.channels.dead_letters import DeadLetterQueue
from labkit.brokers.rabbitmq.channels.exchange import Exchange, ExchangeKind
from labkit.brokers.rabbitmq.channels.outlet import Outlet
from labkit.brokers.rabbitmq.channels.queue import Queue
from labkit.brokers.rabbitmq.channels.rpc import Caller, ReplyWay
from labkit.brokers.rabbitmq.channels.stream import Stream, StreamOptions, stream_arguments
from labkit.brokers.rabbitmq.channels.way import Way
from labkit.brokers.rabbitmq.errors import ask
from labkit.errors import ConnectFailed, LoginRefused, NoAnswer
from labkit.events import Observer

__all__ = ["RabbitmqClient"]

KeepsMessages = TypeVar("KeepsMessages", bound=AnyQueue)

RECONNECT_SECONDS = 0.2
"""Pause between attempts. aio-pika's own 5 s would leave a subscriber deaf that long after a restart."""

RESTORE_SECONDS = 30.0
"""The longest it is waited for a connection to come back."""


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
        self._queues: dict[str, AnyQueue] = {}
        self._callers: list[Caller] = []
        self._ways: dict[str, Way] = {}
        self._outlets: dict[bool, Outlet] = {}
        self._opening = asyncio.Lock()
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
        passive: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[QueueOptions],
    ) -> Queue:
        """Declare a queue, bind it if asked to, and return it. From now on it collects messages.

        A queue is durable: it stays, with its messages, when nobody consumes from it and when the broker is
        restarted. An ``exclusive`` one belongs to this connection and goes when its subscriber leaves. A
        ``passive`` one is there already, and is taken as it is.
        ``bind`` is an exchange with a binding key: ``(orders, "order.created.#")``; for a headers exchange
        the key is a dictionary.

        ``options`` are those of ``QueueOptions``: ``message_ttl`` and ``expires`` in seconds, ``max_length``,
        ``max_bytes``, ``overflow``, ``max_priority``, ``single_active_consumer``, ``delivery_limit``, and
        ``dead_letter``: True makes a queue ``NAME.dlq`` beside it, ``queue.dead_letters``; an exchange's name
        with a key sends them there. ``arguments`` are RabbitMQ's own (``{"x-queue-version": 2}``).

        Raises ``Conflict`` if a queue of this name exists and was made differently, ``NotFound`` if a passive
        one is not there, ``NotAllowed`` if this user may not, ``Unsupported`` if the kind has no such option.
        """
        native = {**queue_arguments(name, kind, options), **(arguments or {})}
        asked = Queue(self, name, native, exclusive=exclusive, passive=passive)
        if options.get("dead_letter") is True:
            asked.dead_letters = await self.dead_letters(f"{name}.dlq", kind=kind)
        queue = await self._declared(asked)
        if bind is not None:
            await queue.bind(*bind)
        return queue

    async def dead_letters(
        self, name: str, *, bind: Binding | None = None, kind: QueueKind = "classic"
    ) -> DeadLetterQueue:
        """Declare a queue whose deliveries say why they were put aside.

        ``bind`` it to a dead-letter exchange; ``queue(..., dead_letter=True)`` makes one by itself.
        """
        queue = await self._declared(DeadLetterQueue(self, name, queue_arguments(name, kind, {})))
        if bind is not None:
            await queue.bind(*bind)
        return queue

    async def delayed(self, target: AnyQueue, seconds: float) -> Queue:
        """Return a queue that hands on to ``target`` what it has held for so long: publish to it.

        RabbitMQ has no delay; this is a queue without subscribers whose messages expire, and whose dead
        letters go to the target. One delay a queue, because only the head of a queue can expire.
        """
        name = f"{target.name}.after.{seconds:g}s"
        return await self.queue(name, message_ttl=seconds, dead_letter=("", target.name))

    async def stream(
        self, name: str, *, arguments: Mapping[str, Any] | None = None, **options: Unpack[StreamOptions]
    ) -> Stream:
        """Declare a stream and return it: a log that is read from any offset or time, again and again.

        ``options`` are those of ``StreamOptions``: ``max_bytes``, ``max_age`` in seconds,
        ``max_segment_bytes``. Raises what ``queue`` does.
        """
        return await self._declared(Stream(self, name, {**stream_arguments(options), **(arguments or {})}))

    async def _declared(self, asked: KeepsMessages) -> KeepsMessages:
        known = self._queues.get(asked.name)
        if isinstance(known, type(asked)) and known.settings == asked.settings:
            return known
        await asked.declare()
        self._queues[asked.name] = asked
        return asked

    async def caller(self, name: str = "caller", *, reply: ReplyWay = "direct") -> Caller:
        """Return somebody who can ask a queue and wait for the reply: ``await caller.call(queue, value)``.

        ``reply`` says how replies come back: straight to this connection, or by a queue that is its own.
        """
        caller = await Caller(self, name, reply).open()
        self._callers.append(caller)
        return caller

    def way(self, name: str) -> Way:
        """Return the way requests or replies of this name go, as the feed knows it."""
        return self._ways.setdefault(name, Way(self, name))

    async def outlet(self, *, confirms: bool = True) -> Outlet:
        """Return an AMQP channel to publish on that many share: for replies, or for what is not confirmed."""
        async with self._opening:
            if confirms not in self._outlets:
                channel = await ask(
                    self.robust_channel(confirms=confirms), "RabbitMQ opened no channel", "check that it runs"
                )
                self._outlets[confirms] = Outlet(self, channel)
        return self._outlets[confirms]

    def forget(self, channel: Exchange | AnyQueue) -> None:
        """Do not make this exchange or queue again after a broken connection."""
        known: dict[str, Any] = self._exchanges if isinstance(channel, Exchange) else self._queues
        if known.get(channel.name) is channel:
            del known[channel.name]

    @property
    def is_restored(self) -> bool:
        """Whether the connection is there, with everything this client made on it."""
        return self._restored.is_set()

    async def restored(self) -> None:
        """Wait until ``is_restored``. Raises ``NoAnswer`` if that takes longer than a broker's restart."""
        try:
            async with asyncio.timeout(RESTORE_SECONDS):
                await self._restored.wait()
        except TimeoutError as error:
            raise NoAnswer(
                f"The connection to RabbitMQ was not back within {RESTORE_SECONDS:g} s.",
                broker=self.broker,
                remedy="check that the broker runs, and that what was declared can be declared again",
            ) from error

    async def robust_channel(self, *, confirms: bool = True) -> AbstractRobustChannel:
        """Return a new AMQP channel that comes back, with what was made on it, after a broken connection."""
        native = self.native
        await native.ready()
        channel = native.channel(publisher_confirms=confirms)
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
            raise _connect_error(error, self.url) from error
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
        self._restored.clear()
        for known in (self._exchanges, self._queues, self._outlets, self._callers):
            known.clear()
        await native.close()


def _connect_error(error: Exception, url: str) -> ConnectFailed:
    where = _without_password(url)
    if _is_refusal(error):
        return LoginRefused(
            f"The RabbitMQ server at {where} does not let us in: {error}.",
            broker="rabbitmq",
            remedy="check user, password, virtual host and certificate",
        )
    return ConnectFailed(
        f"No RabbitMQ server answers at {where}: {error!r}.",
        broker="rabbitmq",
        remedy="check the address, and that the broker runs",
    )


def _is_refusal(error: BaseException) -> bool:
    """Return whether RabbitMQ is there and said no; of a virtual host it does so with a close."""
    if isinstance(error, AuthenticationError | ProbableAuthenticationError | ssl.SSLError):
        return True
    return "Connection.Close" in str(error) or isinstance(error.__cause__, ssl.SSLError)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
