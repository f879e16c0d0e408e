"""NATS subjects: whoever is subscribed now gets a copy, and nothing is kept for anybody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NativeSubscription

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import InboxSubscription
from labkit.errors import BrokerError, PublishFailed, Unsupported
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.nats.client import NatsClient

__all__ = ["Subject", "SubjectSubscription"]


class Subject(Channel):
    """A NATS subject, words with dots between. ``*`` stands for one word, ``>`` for all that follow."""

    kind = "subject"
    confirms = False
    client: NatsClient

    def __init__(self, client: NatsClient, name: str) -> None:
        super().__init__(client, name)
        self.is_wildcard = any(word in ("*", ">") for word in name.split("."))

    async def publish(
        self, value: object, *, headers: Mapping[str, str] | None = None, publisher: str = "shop"
    ) -> None:
        """Send one message to whoever is subscribed. NATS does not say whether anybody is.

        Returns when the message is in the connection's buffer. Raises ``PublishFailed`` if it is too big, the
        subject is malformed, or the buffer of a lost connection is full; ``Unsupported`` for a wildcard.
        """
        data = encode(value)
        if self.is_wildcard:
            raise self._wildcard_error()
        meters = self.meters(publisher)
        if meters is None:
            return await self._send(data, headers)
        message = Message(data, self.name, headers=headers)
        meters.sent(message)
        try:
            await self._send(data, headers)
        except BrokerError:
            meters.refused(message)
            raise

    async def _send(self, data: bytes, headers: Mapping[str, str] | None) -> None:
        try:
            await self.client.native.publish(self.name, data, headers=dict(headers) if headers else None)
        except nats.errors.Error as error:
            raise PublishFailed(
                f"NATS did not take {len(data)} bytes for {self.name}: {error}.",
                broker=self.broker,
                remedy="check the subject and the size, and that the broker runs",
            ) from error

    def _wildcard_error(self) -> Unsupported:
        one = self.name.replace("*", "created").replace(">", "created")
        return Unsupported(
            f"A message goes to one subject; {self.name!r} names many.",
            broker=self.broker,
            remedy=f"publish to one of them, say {one!r}",
        )

    def subscribe(self, name: str) -> SubjectSubscription:
        """Return a subscriber called ``name``, not yet open."""
        return SubjectSubscription(self, name, filter=self.name if self.is_wildcard else "")


class SubjectSubscription(InboxSubscription[Delivery]):
    """One subscriber of a subject. nats-py subscribes again by itself after a reconnect."""

    channel: Subject
    _native: NativeSubscription

    async def _subscribe(self) -> None:
        native = self.channel.client.native
        try:
            self._native = await native.subscribe(self.channel.name, cb=self._arrived)
            # SUB is not answered; a PONG after it proves that the server has read it.
            await native.flush(CALL_SECONDS)  # type: ignore[arg-type]  # annotated int, takes a float
            if not native.is_connected:
                # nats-py waits for no PONG while it is between two connections.
                raise nats.errors.ConnectionReconnectingError
        except (OSError, nats.errors.Error) as error:
            await self._forget()
            raise BrokerError(
                f"NATS did not register {self.name} on {self.channel.name!r}: {error}.",
                broker="nats",
                remedy="check the subject, and that the broker runs",
            ) from error

    async def _arrived(self, native: Msg) -> None:
        await self._inbox.put(Delivery(native, _read))

    async def _forget(self) -> None:
        """Keep nats-py from subscribing at the next reconnect, after the caller was told that it failed."""
        native = getattr(self, "_native", None)
        if native is not None:
            with suppress(nats.errors.Error, OSError):
                await native.unsubscribe()

    async def _unsubscribe(self) -> None:
        with suppress(nats.errors.Error):  # a connection that is gone took the subscription with it
            await self._native.unsubscribe()


def _read(native: Msg) -> Message:
    return Message(native.data, native.subject, headers=native.headers, native=native)
