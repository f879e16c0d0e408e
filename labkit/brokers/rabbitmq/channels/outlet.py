"""Handing messages to RabbitMQ on one AMQP channel, and what its answers mean.

aio-pika's own publish waits for the confirm, so many under way at once would be a task each. Here the two
halves are apart: ``hand_over`` returns when the message is written, with the future of its confirm.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aio_pika.abc import AbstractRobustChannel
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel as NativeChannel
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from labkit.brokers.client import CALL_SECONDS, was_cancelled
from labkit.brokers.rabbitmq.channels.properties import Properties, native_properties
from labkit.brokers.rabbitmq.errors import LOST, publish_failure, reason
from labkit.errors import BrokerError, PublishRefused

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Outlet", "was_returned"]

Confirm = asyncio.Future[Any]
REOPEN_SECONDS = 0.01
"""Pause between looks at a channel that RabbitMQ closed and aio-pika is opening again."""


def was_returned(answer: object) -> bool:
    """Return whether RabbitMQ sent a mandatory message back because no queue wanted it."""
    return isinstance(answer, DeliveredMessage)


class Outlet:
    """An AMQP channel to publish on. It comes back after a broken connection, as its robust channel does."""

    def __init__(self, client: RabbitmqClient, channel: AbstractRobustChannel) -> None:
        self.client = client
        self.channel = channel

    async def send(
        self, exchange: str, key: str, body: bytes, properties: Properties, *, mandatory: bool = False
    ) -> bool:
        """Publish one message, wait for its confirm, and return whether it was sent back.

        Raises ``PublishRefused`` or ``PublishInDoubt``.
        """
        answer, alone = await self.hand_over(exchange, key, body, properties, mandatory=mandatory)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return was_returned(await answer)
        except BaseException as error:
            if _is_ours_to_pass_on(error):
                raise
            alone = alone and not self._has_others(answer)
            raise publish_failure(error, _what(exchange, key, body), alone=alone) from error

    async def hand_over(
        self, exchange: str, key: str, body: bytes, properties: Properties, *, mandatory: bool = False
    ) -> tuple[Confirm, bool]:
        """Write one message; return the future of its confirm, and whether it is alone on the way.

        Raises ``PublishRefused`` if it was not written: it cannot be encoded, or there is no connection.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                channel = await self._open_channel()
                return await _write(channel, exchange, key, body, native_properties(properties), mandatory)
        except BaseException as error:
            if _is_ours_to_pass_on(error):
                raise
            raise _not_sent(error, _what(exchange, key, body)) from error

    async def fire(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Write one message on a channel without confirms. Raises ``PublishRefused`` if that fails."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                channel = await self._open_channel()
                await channel.basic_publish(
                    body, exchange=exchange, routing_key=key, properties=native_properties(properties)
                )
        except BaseException as error:
            if _is_ours_to_pass_on(error):
                raise
            raise _not_sent(error, _what(exchange, key, body)) from error

    def give_up(self) -> None:
        """Wait no more for any confirm on this channel."""
        channel: Any = self.channel
        for answer in list(channel._channel.channel.confirmations.values() if channel._channel else ()):
            answer.cancel()

    async def _open_channel(self) -> NativeChannel:
        if not self.client.is_restored:
            self.client.require_open()
            raise ConnectionError(LOST)
        channel = await self.channel.get_underlay_channel()
        while channel.is_closed:  # by RabbitMQ, because of an earlier message
            if not self.client.is_restored:
                raise ConnectionError(LOST)
            await asyncio.sleep(REOPEN_SECONDS)
            channel = await self.channel.get_underlay_channel()
        assert isinstance(channel, NativeChannel)
        return channel

    def _has_others(self, answer: Confirm) -> bool:
        """Return whether something was handed over after this message."""
        channel: Any = self.channel
        native: NativeChannel | None = channel._channel and channel._channel.channel
        return native is not None and any(other is not answer for other in native.confirmations.values())


async def _write(
    channel: NativeChannel,
    exchange: str,
    key: str,
    body: bytes,
    properties: Basic.Properties,
    mandatory: bool,
) -> tuple[Confirm, bool]:
    """Do what aiormq's ``basic_publish`` does before it waits for the confirm."""
    if mandatory and not properties.message_id:
        properties.message_id = uuid4().hex  # by which aiormq knows what is sent back
    publish = Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
    header = ContentHeader(properties=properties, body_size=len(body))
    written = asyncio.get_running_loop().create_future()  # has aiormq wait where the socket is full
    frame = ChannelFrame.marshall(channel.number, [publish, header, *channel._split_body(body)], written)
    async with channel.lock:
        alone = not channel.confirmations
        channel.delivery_tag += 1
        tag = channel.delivery_tag
        answer = channel.confirmations[tag] = channel.create_future()
        try:
            await channel.write_queue.put(frame)
        except BaseException:
            channel.delivery_tag -= 1
            del channel.confirmations[tag]
            answer.cancel()
            raise
    if mandatory and properties.message_id:
        _remember(channel, properties.message_id, tag, answer)
    return answer, alone


def _remember(channel: NativeChannel, message_id: str, tag: int, answer: Confirm) -> None:
    tags = channel.message_id_delivery_tag
    tags[message_id] = tag
    answer.add_done_callback(lambda _: tags.pop(message_id, None))


def _is_ours_to_pass_on(error: BaseException) -> bool:
    """Return whether this is the caller's own cancellation, an error of ours, or no matter of publishing."""
    if isinstance(error, asyncio.CancelledError):
        return was_cancelled()
    return isinstance(error, BrokerError) or not isinstance(error, Exception)


def _not_sent(error: BaseException, what: str) -> PublishRefused:
    is_lost = isinstance(error, ConnectionError | ChannelInvalidStateError | TimeoutError)
    remedy = "check that the broker runs, then publish again" if is_lost else "mend the message"
    return PublishRefused(f"{what}, and was not sent it: {reason(error)}.", broker="rabbitmq", remedy=remedy)


def _what(exchange: str, key: str, body: bytes) -> str:
    return f"RabbitMQ did not confirm {len(body)} bytes for {exchange or 'the queue'} {key!r}"
