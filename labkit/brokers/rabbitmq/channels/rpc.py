"""Asking and answering by way of queues: each request says where its reply goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, Unpack, cast

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel

from labkit.brokers.delivery import Delivery
from labkit.brokers.rabbitmq.channels.consuming import read_message
from labkit.brokers.rabbitmq.channels.exchange import Exchange
from labkit.brokers.rabbitmq.channels.outlet import Outlet
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.channels.queue import Queue
from labkit.brokers.rabbitmq.channels.way import DIRECT, replies_of
from labkit.brokers.rabbitmq.errors import ask, asking
from labkit.errors import BrokerError, ChannelClosed, NoReply, NoResponders
from labkit.events import Kind

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Caller", "Reply", "ReplyWay"]

ReplyWay = Literal["direct", "queue"]
_First = asyncio.Future["Reply"]
_All = asyncio.Queue["Reply"]


class Reply(Delivery):
    """An answer. Nothing is to be settled."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native.body)


class Caller:
    """Somebody who asks and waits for the answer. Make one with ``await client.caller()``.

    ``reply="direct"`` has replies sent straight to this connection: nothing is made, and a reply that comes
    while the connection is broken is gone. RabbitMQ confirms such a reply even when it drops it (seen on
    4.0.5, on a loaded machine, in one of some 15 first requests after a restart). ``reply="queue"`` makes a
    queue that only this connection reads.
    """

    def __init__(self, client: RabbitmqClient, name: str, reply: ReplyWay) -> None:
        self.client = client
        self.name = name
        self.reply_to = DIRECT if reply == "direct" else f"{name}.replies.{token_hex(8)}"
        self.late = 0
        """Replies that came when nobody waited for them any more."""
        self._is_direct = reply == "direct"
        self._waiting: dict[str, tuple[str, _First | _All]] = {}
        self._asked = 0
        self._channel: AbstractRobustChannel | None = None

    async def open(self) -> Self:
        """Make ready for replies. Raises ``BrokerError`` if RabbitMQ does not let us."""
        if self._channel is None:
            what = f"RabbitMQ made no way for replies to {self.name!r}"
            self._channel = await ask(self._open(), what, "check that the broker runs")
        return self

    async def _open(self) -> AbstractRobustChannel:
        channel = await self.client.robust_channel()
        try:
            # A passive declaration of RabbitMQ's own name has aio-pika consume from it again after a restart.
            only_ours = not self._is_direct
            self._queue = await channel.declare_queue(
                self.reply_to, passive=self._is_direct, exclusive=only_ours, auto_delete=only_ours
            )
            await self._queue.consume(self._arrived, no_ack=True)
        except BaseException:
            await channel.close()
            raise
        self._outlet = Outlet(self.client, channel)
        return channel

    async def call(
        self,
        queue: Queue | str,
        value: object,
        *,
        timeout: float = 1.0,  # noqa: ASYNC109
        **properties: Unpack[Properties],
    ) -> Reply:
        """Send a request to a queue, and return the first reply to it.

        Raises ``NoResponders`` if there is no such queue; ``NoReply`` if none came within ``timeout`` seconds
        (a queue nobody reads from looks the same); and what ``Queue.publish`` raises. A request that nobody
        took in this time expires.
        """
        name = queue if isinstance(queue, str) else queue.name
        answer: _First = asyncio.get_running_loop().create_future()
        sent = self._request(name, answer, timeout, properties)
        try:
            async with asyncio.timeout(timeout):
                await self._ask(name, value, sent)
                return await answer
        except TimeoutError as error:
            raise NoReply(
                f"Nobody replied to a request to {name!r} within {timeout:g} s.",
                broker="rabbitmq",
                remedy="check that somebody reads this queue; the work may have been done all the same",
            ) from error
        finally:
            del self._waiting[sent["correlation_id"]]

    async def call_all(
        self, exchange: Exchange, value: object, **properties: Unpack[Properties]
    ) -> AsyncGenerator[Reply, None]:
        """Send a request to every queue of a fanout exchange, and yield the replies as they come, for ever.

        Nobody knows how many there will be: give it a deadline, and close it (``contextlib.aclosing``).
        Raises ``NoResponders`` if no queue is bound; and what ``Exchange.publish`` raises.
        """
        answers: _All = asyncio.Queue()
        sent = self._request(exchange.name, answers, None, properties)
        try:
            await self._ask(exchange.name, value, sent, is_exchange=True)
            while True:
                yield await answers.get()
        finally:
            del self._waiting[sent["correlation_id"]]

    def _request(
        self, name: str, answer: _First | _All, seconds: float | None, properties: Properties
    ) -> Properties:
        """Take note that somebody waits; return the properties of the request."""
        if self._channel is None:
            raise ChannelClosed(
                f"The caller {self.name} is not open.", broker="rabbitmq", remedy="`await client.caller()`"
            )
        self._asked += 1
        request = f"{token_hex(8)}-{self._asked}"
        self._waiting[request] = (name, answer)
        limit: Properties = {} if seconds is None else {"expiration": seconds}
        return {**limit, **properties, "reply_to": self.reply_to, "correlation_id": request}

    async def _ask(
        self, name: str, value: object, properties: Properties, *, is_exchange: bool = False
    ) -> None:
        way = self.client.way(name)
        exchange, key = (name, "") if is_exchange else ("", name)
        if await way.publish(self._outlet, key, value, self.name, properties, exchange=exchange):
            return
        what = f"No queue is bound to {name!r}" if is_exchange else f"There is no queue {name!r}"
        raise NoResponders(f"{what} for a request.", broker="rabbitmq", remedy="start who replies first")

    async def _arrived(self, native: AbstractIncomingMessage) -> None:
        asked, answer = self._waiting.get(native.correlation_id or "", ("", None))
        if answer is None or (isinstance(answer, asyncio.Future) and answer.done()):
            self.late += 1
            return
        reply = Reply(native, read_message)
        if (delivered := self.client.meter(Kind.DELIVERED, replies_of(asked), self.name)) is not None:
            delivered(reply.message)
        if isinstance(answer, asyncio.Future):
            answer.set_result(reply)
        else:
            answer.put_nowait(reply)

    async def close(self) -> None:
        """Ask no more. Replies still on their way are dropped."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(BrokerError):  # a connection that is gone took the channel with it
                async with asking("RabbitMQ did not close the caller's channel", ""):
                    await channel.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<caller {self.name}{'' if self._channel else ' closed'}>"
