"""Publishing without waiting for each confirm."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.pipeline import Pipeline
from labkit.brokers.rabbitmq.channels.outlet import Outlet, was_returned
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.errors import ask, asking, publish_failure
from labkit.errors import BrokerError, ChannelClosed, PublishFailed, PublishRefused
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.channels.publishing import PublishingChannel

__all__ = ["ConfirmPipeline", "ExchangePipeline", "QueuePipeline"]


class ConfirmPipeline(Pipeline):
    """Messages under way on an AMQP channel of their own, each confirmed when RabbitMQ gets to it.

    If nothing at all is answered for 5 seconds, what is under way is given up: nobody knows of it.
    """

    def __init__(self, channel: PublishingChannel, publisher: str, window: int) -> None:
        super().__init__(channel.meters(publisher), window)
        self.unheard = 0
        """Messages that were confirmed and sent back: mandatory, and no queue wanted them."""
        self._place = channel
        self._outlet: Outlet | None = None

    async def _send(
        self, exchange: str, key: str, value: object, mandatory: bool, properties: Properties
    ) -> None:
        if self._outlet is None:
            raise ChannelClosed(
                f"This pipeline to {self._place.name} is not open.",
                broker="rabbitmq",
                remedy="`async with channel.pipeline() as pipeline:`",
            )
        body = encode(value)
        await self.room()
        if self._meters is None:
            answer, _ = await self._outlet.hand_over(exchange, key, body, properties, mandatory=mandatory)
            self._expect(answer, None)
            return
        message = Message(body, key, headers=properties.get("headers"))
        self._meters.sent(message)
        try:
            answer, _ = await self._outlet.hand_over(exchange, key, body, properties, mandatory=mandatory)
        except BaseException as error:
            (self._meters.refused if isinstance(error, PublishRefused) else self._meters.in_doubt)(message)
            raise
        self._expect(answer, message)

    def _answered(self, *arguments: Any) -> None:
        super()._answered(*arguments)
        *message, answer = arguments
        if answer.cancelled() or answer.exception() or not was_returned(answer.result()):
            return
        self.unheard += 1
        if message and self._meters is not None:
            self._meters.unheard(message[0])

    def _failure(self, answer: asyncio.Future[Any]) -> PublishFailed | None:
        error = TimeoutError() if answer.cancelled() else answer.exception()
        if error is None:
            return None
        failure = publish_failure(
            error, f"RabbitMQ did not confirm a message for {self._place.name}", alone=False
        )
        failure.__cause__ = error
        return failure

    async def _change(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await super()._change()
        except TimeoutError:
            assert self._outlet is not None
            self._outlet.give_up()
            await asyncio.sleep(0)  # their callbacks run

    async def __aenter__(self) -> Self:
        client = self._place.client
        what = f"RabbitMQ opened no channel for a pipeline to {self._place.name!r}"
        self._outlet = Outlet(client, await ask(client.robust_channel(), what, "check that it runs"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await self._close()

    async def _close(self) -> None:
        outlet, self._outlet = self._outlet, None
        assert outlet is not None
        with suppress(BrokerError):  # a connection that is gone took the channel with it
            async with asking("RabbitMQ did not close the pipeline's channel", ""):
                await outlet.channel.close()


class ExchangePipeline(ConfirmPipeline):
    """A pipeline to an exchange."""

    async def publish(
        self,
        value: object,
        routing_key: str = "",
        *,
        mandatory: bool = False,
        **properties: Unpack[Properties],
    ) -> None:
        """Hand over one message; wait first while ``window`` messages are unanswered.

        ``properties`` are those of ``Properties``. Raises ``PublishRefused`` if it cannot be sent at all.
        """
        await self._send(self._place.name, routing_key, value, mandatory, properties)


class QueuePipeline(ConfirmPipeline):
    """A pipeline to one queue or stream."""

    async def publish(
        self, value: object, *, mandatory: bool = False, **properties: Unpack[Properties]
    ) -> None:
        """Hand over one message; wait first while ``window`` messages are unanswered.

        ``properties`` are those of ``Properties``. Raises ``PublishRefused`` if it cannot be sent at all.
        """
        await self._send("", self._place.name, value, mandatory, properties)
