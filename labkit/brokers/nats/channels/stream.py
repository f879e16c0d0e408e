"""JetStream's streams: each keeps what was published to its subjects, until its limits say otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import nats.errors
import nats.js.errors
from nats.js import api

from labkit.brokers.channel import Channel
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.nats.channels.consumer import Consumer, Start
from labkit.brokers.nats.channels.dead_letters import DeadLetters, advisories_of
from labkit.brokers.nats.channels.ordered import OrderedSubscription
from labkit.brokers.nats.channels.stream_pipeline import StreamPipeline
from labkit.brokers.nats.denials import publishing
from labkit.brokers.nats.errors import NATIVE, asking, publish_error, read_answer
from labkit.brokers.pipeline import WINDOW
from labkit.errors import Unsupported
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.nats.client import NatsClient

__all__ = ["Discard", "PublishAck", "Retention", "Storage", "Stream"]

Retention = Literal["limits", "workqueue", "interest"]
Storage = Literal["file", "memory"]
Discard = Literal["old", "new"]


class PublishAck(NamedTuple):
    """What JetStream says when it has a message."""

    stream: str
    sequence: int
    """The message's number in the stream, from 1."""
    duplicate: bool
    """Whether it had this ``message_id`` already, and dropped this one."""


class Stream(Channel):
    """A JetStream stream. It keeps what its subjects get, numbers it, and lets consumers read it again."""

    kind = "stream"
    client: NatsClient

    def __init__(self, client: NatsClient, name: str) -> None:
        super().__init__(client, name)
        self._subject = ""
        self.subjects: tuple[str, ...] = ()
        """The subjects it listens to, as they were when it was declared or last asked for."""

    async def declare(
        self,
        *,
        subjects: Sequence[str] | None = None,
        retention: Retention = "limits",
        storage: Storage = "file",
        max_messages: int = -1,
        max_bytes: int = -1,
        max_age: float = 0.0,
        max_message_size: int = -1,
        discard: Discard = "old",
        duplicate_window: float = 120.0,
        **native: Any,
    ) -> None:
        """Make the stream, or find it as it is. Raises ``Conflict`` if it exists with other settings.

        ``retention``: "limits" keeps until a limit is reached, "workqueue" until one consumer has
        acknowledged, "interest" until every consumer has. ``max_age`` and ``duplicate_window`` are seconds;
        -1, and 0 for ``max_age``, is no limit. A full stream drops its oldest message, or refuses the new one
        with ``discard="new"``. ``native`` goes into nats-py's ``StreamConfig`` as it is.
        """
        window = min(duplicate_window, max_age) if max_age else duplicate_window  # the server's own rule
        config = api.StreamConfig(
            name=self.name,
            subjects=[self.name] if subjects is None else list(subjects),
            retention=api.RetentionPolicy(retention),
            storage=api.StorageType(storage),
            max_msgs=max_messages,
            max_bytes=max_bytes,
            max_age=max_age,
            max_msg_size=max_message_size,
            discard=api.DiscardPolicy(discard),
            duplicate_window=window,
        ).evolve(**native)
        async with self._asking("make", "STREAM.CREATE"):
            self._note(await self.client.jetstream.add_stream(config))

    async def change(self, **native: Any) -> None:
        """Change settings, in the words of nats-py's ``StreamConfig``, say ``max_msgs=10``."""
        config = (await self.info()).config
        async with self._asking("change", "STREAM.UPDATE"):
            self._note(await self.client.jetstream.update_stream(config.evolve(**native)))

    async def info(self) -> api.StreamInfo:
        """Return what JetStream knows of the stream: ``config``, and ``state`` with its counts."""
        async with self._asking("tell about", "STREAM.INFO"):
            info = await self.client.jetstream.stream_info(self.name)
        self._note(info)
        return info

    def _note(self, info: api.StreamInfo) -> None:
        self.subjects = tuple(info.config.subjects or ())
        is_one = len(self.subjects) == 1 and not {"*", ">"} & set(self.subjects[0].split("."))
        self._subject = self.subjects[0] if is_one else ""

    async def depth(self) -> int:
        """Return how many messages it holds, read or not."""
        return (await self.info()).state.messages

    async def get(self, sequence: int) -> Message:
        """Return one message by its number, whoever has read it. Raises ``NotFound`` if it is not there."""
        async with self._asking(f"give message {sequence} of", "STREAM.MSG.GET"):
            native = await self.client.jetstream.get_msg(self.name, sequence)
        return Message(native.data or b"", native.subject or "", headers=native.headers, native=native)

    async def delete_message(self, sequence: int) -> None:
        """Remove one message by its number. Raises ``BrokerError`` if it is not there."""
        async with self._asking(f"delete message {sequence} of", "STREAM.MSG.DELETE"):
            await self.client.jetstream.delete_msg(self.name, sequence)

    async def purge(self) -> None:
        """Remove every message; numbers go on from where they were."""
        async with self._asking("purge", "STREAM.PURGE"):
            await self.client.jetstream.purge_stream(self.name)

    async def delete(self) -> None:
        """Remove the stream with its messages and consumers. Raises ``NotFound``."""
        async with self._asking("delete", "STREAM.DELETE"):
            await self.client.jetstream.delete_stream(self.name)

    def _asking(self, what: str, call: str) -> Any:
        return asking(
            f"JetStream did not {what} the stream {self.name!r}",
            "check the name (no spaces, dots or wildcards), the settings, and that the stream exists",
            self.client.denials,
            publishing(f"$JS.API.{call}.{self.name}"),
        )

    async def publish(
        self,
        value: object,
        *,
        subject: str = "",
        headers: Mapping[str, str] | None = None,
        message_id: str = "",
        publisher: str = "shop",
    ) -> PublishAck:
        """Store one message, and return JetStream's answer with its number.

        ``subject`` may be left out where the stream has just one. A second message of the same
        ``message_id`` within the stream's ``duplicate_window`` is dropped: ``ack.duplicate``.

        Raises ``PublishRefused`` if no stream has the subject, the message is too big, or a limit says no;
        ``PublishInDoubt`` if no answer comes within 5 seconds, as with a broker that went away: nats-py sends
        it when the connection is back. ``NotAllowed`` if this user may not.
        """
        message = self.message(value, subject, headers, message_id)
        meters = self.meters(publisher)
        if meters is None:
            return await self._store(message)
        return await self._observed(self._store(message), message, meters)

    def message(
        self, value: object, subject: str, headers: Mapping[str, str] | None, message_id: str
    ) -> Message:
        """Return the message to publish. Raises ``Unsupported`` if it is not clear to which subject."""
        if message_id:
            headers = {**(headers or {}), api.Header.MSG_ID.value: message_id}
        subject = subject or self._subject
        if not subject:
            raise self._unclear_error()
        return Message(encode(value), subject, None, headers)

    def _unclear_error(self) -> Unsupported:
        return Unsupported(
            f"The stream {self.name!r} listens to {', '.join(self.subjects)}: a message goes to one subject.",
            broker=self.broker,
            remedy="say which: publish(value, subject=...)",
        )

    async def _store(self, message: Message) -> PublishAck:
        client, headers = self.client, dict(message.headers) if message.headers else None
        try:
            # It does not end with the connection: nats-py sends it when there is one again.
            reply = await client.replies.ask(
                client.native,
                message.channel,
                message.data,
                headers,
                CALL_SECONDS,
                ends_with_connection=False,
            )
            answer = read_answer(reply.data)
            return PublishAck(answer["stream"], answer["seq"], answer.get("duplicate", False))
        except nats.errors.NoRespondersError:
            error: Exception = nats.js.errors.NoStreamResponseError()
        except NATIVE as native:
            error = native
        raise publish_error(error, len(message.data), message.channel) from error

    def pipeline(self, window: int = WINDOW, publisher: str = "shop") -> StreamPipeline:
        """Return a pipeline to publish many messages at once, each confirmed: ``async with`` it."""
        return StreamPipeline(self, self.meters(publisher), window)

    async def consumer(self, name: str, **settings: Any) -> Consumer:
        """Return a durable consumer, made if there is none of this name: a place in the stream, kept for it.

        See ``Consumer.declare`` for the settings. Raises ``Conflict`` if it exists in a way that cannot be
        changed, or if this is a work queue whose messages another consumer has already.
        """
        consumer = Consumer(self, name)
        await consumer.declare(**settings)
        return consumer

    async def find_consumer(self, name: str) -> Consumer:
        """Return a consumer that exists, as it is. Raises ``NotFound``."""
        consumer = Consumer(self, name)
        await consumer.info()
        return consumer

    def ordered(self, name: str, *, start: Start = "all", filter: str = "") -> OrderedSubscription:
        """Return a reader, not yet open, that gets each message from ``start`` on once and in order.

        Nothing is acknowledged, and JetStream keeps no place for it. It begins again behind what it has read
        whenever something was missed.
        """
        return OrderedSubscription(self, name, start, filter, is_finite=False)

    def replay(
        self,
        name: str = "replay",
        *,
        from_sequence: int | None = None,
        from_time: float | None = None,
        filter: str = "",
    ) -> OrderedSubscription:
        """Return a reader, not yet open, of what is stored; it ends when it has caught up.

        It begins with the message of this number, or with the first stored at ``from_time`` (seconds since
        1970) or later, or with the oldest.
        """
        start: Start = "all"
        if from_sequence is not None:
            start = from_sequence
        elif from_time is not None:
            start = from_time
        return OrderedSubscription(self, name, start, filter, is_finite=True)

    async def dead_letters(self) -> DeadLetters:
        """Return what consumers gave up: messages delivered ``max_deliver`` times, or ended with ``term``.

        JetStream has no place for them. It only says so, in an advisory that is not kept. From the first call
        on a stream of its own keeps these advisories, so call it before there are consumers.
        What was delivered too often is given up when it would be delivered again: to a pull consumer, when
        somebody asks for messages.
        """
        kept = Stream(self.client, f"{self.name}-dead-letters")
        await kept.declare(subjects=advisories_of(self.name))
        return DeadLetters(self, kept)

    def _facts(self) -> dict[str, Any]:
        return {"subjects": ", ".join(self.subjects)}
