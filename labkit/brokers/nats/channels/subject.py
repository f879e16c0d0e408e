"""NATS subjects: whoever is subscribed now gets a copy, and nothing is kept for anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import nats.errors
from nats.aio.client import Client as NativeClient
from nats.aio.msg import Msg

from labkit.brokers.channel import Channel, PublishMeters
from labkit.brokers.delivery import Delivery
from labkit.brokers.nats.errors import NATIVE, publish_error
from labkit.brokers.nats.listening import PENDING_BYTES, PENDING_MESSAGES, NatsSubscription
from labkit.errors import BrokerError, NoReply, NoResponders, Unsupported
from labkit.events import Kind
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.nats.client import NatsClient

__all__ = ["Subject", "SubjectDelivery", "SubjectSubscription"]

REPLY_SECONDS = 1.0
CONNECTED = NativeClient.CONNECTED


class Subject(Channel):
    """A NATS subject, words with dots between. ``*`` stands for one word, ``>`` for all that follow."""

    kind = "subject"
    confirms = False
    client: NatsClient

    def __init__(self, client: NatsClient, name: str) -> None:
        super().__init__(client, name)
        self.is_wildcard = any(word in ("*", ">") for word in name.split("."))
        self._is_well_formed = False

    async def publish(
        self,
        value: object,
        *,
        headers: Mapping[str, str] | None = None,
        reply_to: str = "",
        publisher: str = "shop",
    ) -> None:
        """Send one message to whoever is subscribed. NATS does not say whether anybody is.

        With ``reply_to``, a subject, it does: there the server itself answers, with status 503, if nobody is,
        and there whoever hears it may reply, several if several do.

        Returns when the message is in the connection's buffer. Raises ``PublishRefused`` if it is too big,
        the subject is malformed, or the buffer of a lost connection is full; ``Unsupported`` for a wildcard;
        ``NotAllowed`` if this user may not. Where the server knows users, the first publish to a subject
        waits for it to read the message, since it would otherwise refuse unheard.
        """
        # Written out in one piece: each call more is felt where the raw client needs three microseconds.
        data = value if type(value) is bytes else encode(value)
        if self.is_wildcard:
            raise self._wildcard_error()
        meters = self.meters(publisher)
        if meters is not None:
            message = Message(data, self.name, None, headers)
            meters.sent(message)
        client = self.client
        try:
            native = client.native
            if self._is_well_formed and native._status == CONNECTED and len(data) <= native._max_payload:
                # All that nats-py's publish looks at first, the subject too, with every message.
                native_headers = dict(headers) if headers else None
                await native._send_publish(self.name, reply_to, data, len(data), native_headers)
            else:
                await native.publish(self.name, data, reply_to, dict(headers) if headers else None)
                self._is_well_formed = True
            if client.is_secured or client.denials.unheard:
                await client.check_allowed(self.name)
        except (*NATIVE, BrokerError) as error:
            if meters is not None:
                meters.refused(message)
            if isinstance(error, BrokerError):
                raise
            raise publish_error(error, len(data), self.name) from error

    async def request(
        self,
        value: object,
        *,
        timeout: float = REPLY_SECONDS,  # noqa: ASYNC109  # every NATS client calls it so
        headers: Mapping[str, str] | None = None,
        publisher: str = "shop",
    ) -> SubjectDelivery:
        """Send one message, and return the first reply to it.

        Raises ``NoResponders`` at once if nobody is subscribed; ``NoReply`` if somebody is, and no reply
        comes within ``timeout`` seconds; ``PublishRefused`` and ``NotAllowed`` as ``publish`` does.
        """
        data = encode(value)
        if self.is_wildcard:
            raise self._wildcard_error()
        message = Message(data, self.name, headers=headers)
        meters = self.meters(publisher)
        if meters is not None:
            meters.sent(message)
        try:
            native = await self._ask(message, timeout)
        except BaseException as error:
            if meters is not None:
                _count_unanswered(message, meters, error)
            raise
        reply = SubjectDelivery(native, self, publisher)
        heard = self.client.meter(Kind.DELIVERED, self.name, publisher)
        if heard is not None:
            heard(reply.message)
        return reply

    async def _ask(self, message: Message, seconds: float) -> Msg:
        client, headers = self.client, dict(message.headers) if message.headers else None
        try:
            return await client.replies.ask(
                client.native, self.name, message.data, headers, seconds, ends_with_connection=True
            )
        except nats.errors.NoRespondersError as error:
            raise self._no_responders() from error
        except nats.errors.UnexpectedEOF as error:
            raise self._no_reply("before the connection was lost") from error
        except TimeoutError as error:
            raise self._no_reply(f"within {seconds:g} s") from error
        except NATIVE as error:
            raise publish_error(error, len(message.data), self.name) from error

    def _no_reply(self, when: str) -> NoReply:
        return NoReply(
            f"Nobody replied to {self.name} {when}.",
            broker=self.broker,
            remedy="give it more time; ask again only if doing it twice does no harm",
        )

    def _no_responders(self) -> NoResponders:
        return NoResponders(
            f"Nobody is subscribed to {self.name}.",
            broker=self.broker,
            remedy="start whoever replies, then ask again: nobody has worked on it",
        )

    def _wildcard_error(self) -> Unsupported:
        one = self.name.replace("*", "created").replace(">", "created")
        return Unsupported(
            f"A message goes to one subject; {self.name!r} names many.",
            broker=self.broker,
            remedy=f"publish to one of them, say {one!r}",
        )

    def subscribe(
        self,
        name: str,
        *,
        queue_group: str = "",
        pending_messages: int = PENDING_MESSAGES,
        pending_bytes: int = PENDING_BYTES,
    ) -> SubjectSubscription:
        """Return a subscriber called ``name``, not yet open.

        The subscribers of one ``queue_group`` share the messages: each goes to one of them. What waits for a
        subscriber beyond ``pending_messages`` or ``pending_bytes`` is dropped, newest first; its ``dropped``
        counts them.
        """
        return SubjectSubscription(self, name, queue_group, pending_messages, pending_bytes)


def _count_unanswered(message: Message, meters: PublishMeters, error: BaseException) -> None:
    if isinstance(error, NoResponders):
        meters.unheard(message)
    elif isinstance(error, NoReply) or not isinstance(error, BrokerError):
        meters.in_doubt(message)  # somebody may have worked on it
    else:
        meters.refused(message)


class SubjectDelivery(Delivery):
    """A message that came by a subject; a request if somebody waits for a reply to it."""

    __slots__ = ("_name", "_subject")

    def __init__(self, native: Msg, subject: Subject, name: str) -> None:
        # Not through super(): a third of the time that a message costs us would go there.
        self.native = native
        self.redelivered = None
        self._read = _read
        self._message = None
        self._subject = subject
        self._name = name

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        data: bytes = self.native.data
        return data

    @property
    def reply_to(self) -> str:
        """The subject on which a reply is awaited; empty if none is."""
        reply_to: str = self.native.reply
        return reply_to

    async def reply(self, value: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Send the reply to whoever asked. Nobody says whether it is still awaited.

        Raises ``Unsupported`` if nobody asked for one, ``PublishRefused`` as ``publish`` does.
        """
        if not self.reply_to:
            raise Unsupported(
                f"Nobody waits for a reply to this message on {self.native.subject}.",
                broker="nats",
                remedy="ask with `subject.request(...)`",
            )
        data = encode(value)
        meters = self._subject.meters(self._name)  # where it belongs in the picture: at the question
        if meters is None:
            await self._answer(data, headers)
            return
        message = Message(data, self.reply_to, headers=headers)
        meters.sent(message)
        try:
            await self._answer(data, headers)
        except BrokerError:
            meters.refused(message)
            raise

    async def _answer(self, data: bytes, headers: Mapping[str, str] | None) -> None:
        client = self._subject.client
        try:
            await client.native.publish(self.reply_to, data, "", dict(headers) if headers else None)
            if client.is_secured or client.denials.unheard:
                await client.check_allowed(self.reply_to)
        except NATIVE as error:
            raise publish_error(error, len(data), self.reply_to) from error


class SubjectSubscription(NatsSubscription[SubjectDelivery]):
    """One subscriber of a subject."""

    channel: Subject

    def __init__(
        self, subject: Subject, name: str, queue_group: str, pending_messages: int, pending_bytes: int
    ) -> None:
        super().__init__(subject, name, subject.client, filter=subject.name if subject.is_wildcard else "")
        self.queue_group = queue_group
        self._limits = (pending_messages, pending_bytes)

    async def _subscribe(self) -> None:
        await self._listen(self.channel.name, self.queue_group, *self._limits)

    def _at_hand(self) -> SubjectDelivery | None:
        native = self._take_now()
        return None if native is None else SubjectDelivery(native, self.channel, self.name)

    async def _next(self) -> SubjectDelivery | None:
        while True:
            native = await self._take()
            if native is not None:
                return SubjectDelivery(native, self.channel, self.name)
            if self._is_ending:
                return None


def _read(native: Msg) -> Message:
    return Message(native.data, native.subject, None, native.headers, native)
