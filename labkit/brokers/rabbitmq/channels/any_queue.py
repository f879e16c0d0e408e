"""What queues and streams share: they are declared, bound, published to, counted and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Unpack

from aio_pika.abc import AbstractRobustChannel, AbstractRobustQueue

from labkit.brokers.pipeline import WINDOW
from labkit.brokers.rabbitmq.channels.exchange import Exchange
from labkit.brokers.rabbitmq.channels.pipeline import QueuePipeline
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.channels.publishing import PublishingChannel
from labkit.brokers.rabbitmq.errors import ask

__all__ = ["AnyQueue", "Binding", "BindingKey"]

BindingKey = str | Mapping[str, str]
Binding = tuple[Exchange, BindingKey]


WRITTEN_SECONDS = 1.5
"""How long RabbitMQ may take to write down what it made. Measured on 4.0.5: between 0.8 and 1 s."""


class AnyQueue(PublishingChannel):
    """A place that keeps messages: a queue or a stream."""

    _native: AbstractRobustQueue
    exclusive = False
    arguments: dict[str, Any]
    bindings: list[str]
    _made_at = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """What it is declared with, in AMQP's words."""
        return {
            "durable": not self.exclusive,
            "exclusive": self.exclusive,
            "auto_delete": self.exclusive,
            "arguments": self.arguments,
        }

    async def declare(self) -> None:
        """Make it, or find it as it is."""
        what = f"RabbitMQ did not declare {self!r}"
        await ask(self._declare(), what, "choose another name if it exists with other settings")

    async def _declare(self) -> None:
        channel = await self._open()
        try:
            self._native = await self.declare_on(channel)
        except BaseException:
            await channel.close()
            raise
        self._made_at = monotonic()

    async def written(self) -> None:
        """Wait until a quorum queue or stream itself, not only its messages, outlives a SIGKILL.

        RabbitMQ lists its quorum queues in a file that it writes when none was made for a while, and tells
        nobody when it has. Killed before, it comes back with a queue that answers nobody, and what it had
        confirmed is out of reach (measured on 4.0.5; of streams only a broker's first). Classic queues are
        written as they are made.
        """
        if self.arguments["x-queue-type"] != "classic":
            await asyncio.sleep(max(0.0, self._made_at + WRITTEN_SECONDS - monotonic()))

    async def declare_on(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        """Declare it on this AMQP channel, which then restores it."""
        native = await channel.declare_queue(self.name, **self.settings)
        assert isinstance(native, AbstractRobustQueue)
        return native

    async def bind(self, exchange: Exchange, key: BindingKey) -> None:
        """Ask an exchange for the messages that fit ``key``: a routing key, or headers to match.

        With headers, all of them have to be there; with ``{"x-match": "any", ...}`` one is enough.
        """
        routing_key = key if isinstance(key, str) else ""
        arguments: dict[str, Any] | None = None if isinstance(key, str) else dict(key)
        label = key if isinstance(key, str) else ", ".join(f"{name}={value}" for name, value in key.items())
        what = f"RabbitMQ did not bind {self.name!r} to {exchange.name!r}"
        await ask(self._bind_native(exchange.name, routing_key, arguments), what, "check the key")
        if label not in self.bindings:
            self.bindings.append(label)

    async def _bind_native(self, exchange: str, routing_key: str, arguments: dict[str, Any] | None) -> None:
        await self.client.restored()
        await self._native.bind(exchange, routing_key, arguments=arguments)

    async def publish(
        self,
        value: object,
        *,
        mandatory: bool = False,
        publisher: str = "shop",
        **properties: Unpack[Properties],
    ) -> bool | None:
        """Send one message straight here, by way of the default exchange, and wait for the confirm.

        Returns and raises what ``Exchange.publish`` does.
        """
        return await self._publish("", self.name, value, mandatory, publisher, properties)

    async def publish_unconfirmed(
        self, value: object, *, publisher: str = "shop", **properties: Unpack[Properties]
    ) -> None:
        """Write one message to the socket and ask for no confirm: nobody learns what became of it.

        Raises ``PublishRefused`` if there is no connection to write to.
        """
        await self._fire("", self.name, value, publisher, properties)

    def pipeline(self, *, window: int = WINDOW, publisher: str = "shop") -> QueuePipeline:
        """Return a way to publish many: ``async with queue.pipeline() as pipeline: ...``."""
        return QueuePipeline(self, publisher, window)

    async def depth(self) -> int:
        """Return how many messages are ready: waiting for a subscriber, not counting those handed out.

        Raises ``NotFound`` if it is gone.
        """
        what = f"RabbitMQ did not tell the depth of {self.name!r}"
        return await ask(self._count(), what, "check that it still exists")

    async def _count(self) -> int:
        channel = await self.client.plain_channel()
        try:
            answer = await channel.queue_declare(self.name, passive=True)
        finally:
            await channel.close()
        return answer.message_count or 0

    async def delete(self) -> None:
        """Remove it from the broker, with every message in it."""
        self.client.forget(self)
        await ask(self._delete(), f"RabbitMQ did not delete the {self.kind} {self.name!r}", "try again")

    async def _delete(self) -> None:
        await self._channel.queue_delete(self.name)
        await self._channel.close()

    async def release(self) -> None:
        """Stop making it again after a broken connection; RabbitMQ keeps what it has."""
        self.client.forget(self)
        await self._channel.close()

    def _facts(self) -> dict[str, Any]:
        return {"kind": self.arguments["x-queue-type"]}
