"""What subscribers of queues and streams share: RabbitMQ pushes to them, up to a prefetch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue

from labkit.brokers.delivery import Delivery
from labkit.brokers.rabbitmq.channels.any_queue import AnyQueue
from labkit.brokers.rabbitmq.errors import ask
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError
from labkit.message import Message

__all__ = ["Consuming", "read_message"]

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)


class Consuming(InboxSubscription[AnyDelivery]):
    """One subscriber with an AMQP channel of its own. It is subscribed again after a broken connection."""

    channel: AnyQueue
    _channel: AbstractRobustChannel
    _native: AbstractRobustQueue
    _tag: str

    def __init__(self, queue: AnyQueue, name: str, prefetch: int, arguments: Mapping[str, Any]) -> None:
        super().__init__(queue, name, filter=", ".join(queue.bindings))
        self.prefetch = min(prefetch, self.INBOX)
        self._arguments = dict(arguments)

    async def _subscribe(self) -> None:
        what = f"RabbitMQ did not register {self.name} on the {self.channel.kind} {self.channel.name!r}"
        self._is_wanted = True
        try:
            await ask(self._register(), what, "check that it still exists and the broker runs")
        except BaseException:
            self._is_wanted = False
            raise

    async def _register(self) -> None:
        self._channel = await self.channel.client.robust_channel()
        self._channel.close_callbacks.add(self._forget_undelivered)
        try:
            await self._channel.set_qos(self.prefetch)
            self._native = await self.channel.declare_on(self._channel)
            self._tag = await self._native.consume(self._arrived, arguments=self._arguments)
        except BaseException:
            await self._channel.close()
            raise
        if not self._is_wanted:  # given up meanwhile: nobody would take what is delivered
            await self._channel.close()

    async def _arrived(self, native: AbstractIncomingMessage) -> None:
        await self._inbox.put(self._deliver(native))

    @abstractmethod
    def _deliver(self, native: AbstractIncomingMessage) -> AnyDelivery: ...

    def _forget_undelivered(self, *_: object) -> None:
        # They cannot be acknowledged any more, and RabbitMQ hands them out again.
        self.empty_inbox()

    async def _unsubscribe(self) -> None:
        with suppress(BrokerError):  # a connection that is gone took the subscription with it
            await ask(self._leave(), f"RabbitMQ did not unsubscribe {self.name}", "")

    async def vanish(self) -> None:
        """Go as a program that was killed goes: its AMQP channel ends, and nothing was acknowledged.

        RabbitMQ hears of it at once, and hands out again what this subscriber had.
        """
        if not self._is_open:
            return
        self._is_open = False
        self.channel.client.release(self)
        await self._end_worker()
        with suppress(BrokerError):  # a broker that is gone took the channel with it
            await ask(self._end_channel(), f"RabbitMQ did not close the channel of {self.name}", "")
        self._inbox.put_nowait(None)  # whoever still waits for a delivery learns that there will be none

    async def _end_channel(self) -> None:
        await self._channel.close()

    async def _leave(self) -> None:
        if self.channel.client.native.connected.is_set():
            await self._native.cancel(self._tag)
        await self._channel.close()
        if self.channel.exclusive:
            await self.channel.release()


def read_message(native: AbstractIncomingMessage) -> Message:
    """Return aio-pika's message in the lab's own words."""
    headers = {name: str(value) for name, value in native.headers.items()} or None
    return Message(native.body, native.routing_key or "", headers=headers, native=native)
