"""Publishing to a stream with many messages under way, each confirmed by JetStream."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import nats.js.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NativeSubscription

from labkit.brokers.channel import PublishMeters
from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.nats.denials import publishing
from labkit.brokers.nats.errors import NATIVE, asking, publish_error, read_answer
from labkit.brokers.pipeline import Pipeline
from labkit.errors import ChannelClosed, NotAllowed, PublishFailed, PublishRefused
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream

__all__ = ["StreamPipeline"]


class _Waiting(NamedTuple):
    """A message without an answer, and when to give it up."""

    message: Message
    until: float


class StreamPipeline(Pipeline):
    """Messages handed to JetStream without waiting for each answer.

    Not nats-py's ``publish_async``: its futures have no time limit, so a broker that died is waited for
    without end. Here a message that is not answered within 5 seconds is in doubt.
    """

    def __init__(self, stream: Stream, meters: PublishMeters | None, window: int) -> None:
        super().__init__(meters, window)
        self.stream = stream
        self._numbers = itertools.count()
        self._waiting: dict[str, _Waiting] = {}  # the oldest first
        self._answers: NativeSubscription | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> StreamPipeline:
        client = self.stream.client
        self._inbox = client.native.new_inbox()
        async with asking("NATS did not register a pipeline", "check that the broker runs", client.denials):
            self._answers = await client.native.subscribe(f"{self._inbox}.*", cb=self._hear)
        client.denials.listeners.add(self._hear_denied)
        return self

    async def publish(
        self,
        value: object,
        *,
        subject: str = "",
        headers: Mapping[str, str] | None = None,
        message_id: str = "",
    ) -> None:
        """Hand over one message; takes what ``Stream.publish`` takes. Waits while the window is full.

        Raises ``PublishRefused`` if it cannot even be sent; what JetStream refuses is in ``failed``.
        """
        if self._answers is None:
            raise ChannelClosed("This pipeline is not open.", broker="nats", remedy="`async with` it")
        message = self.stream.message(value, subject, headers, message_id)
        await self.room()
        number = str(next(self._numbers))
        self._expect_answer(number, message)
        try:
            await self.stream.client.native.publish(
                message.channel,
                message.data,
                f"{self._inbox}.{number}",
                dict(message.headers) if message.headers else None,
            )
        except NATIVE as error:
            raise self._never_sent(number, error) from error

    def _expect_answer(self, number: str, message: Message) -> None:
        if self._meters is not None:
            self._meters.sent(message)
        loop = asyncio.get_running_loop()
        self._waiting[number] = _Waiting(message, loop.time() + CALL_SECONDS)
        self.unanswered += 1
        if self._timer is None:
            self._timer = loop.call_later(CALL_SECONDS, self._give_up)

    def _never_sent(self, number: str, error: BaseException) -> PublishFailed:
        message = self._waiting[number].message
        failure = publish_error(error, len(message.data), message.channel)
        self._answer(number, failure)
        self.failed.remove(failure)  # the caller hears of it here and now
        return failure

    async def _hear(self, native: Msg) -> None:
        number = native.subject.rpartition(".")[2]
        if number in self._waiting:
            self._answer(number, self._read(native, self._waiting[number].message))

    def _read(self, native: Msg, message: Message) -> PublishFailed | None:
        """Return what JetStream's answer means; None if it is a confirm."""
        if native.headers and native.headers.get("Status") == "503":
            return self._refused(nats.js.errors.NoStreamResponseError(), message)
        try:
            read_answer(native.data)
        except (nats.js.errors.Error, ValueError) as error:
            return self._refused(error, message)
        return None

    def _refused(self, error: Exception, message: Message) -> PublishFailed:
        failure = publish_error(error, len(message.data), message.channel)
        failure.__cause__ = error
        return failure

    def _answer(self, number: str, failure: PublishFailed | None) -> None:
        message = self._waiting.pop(number).message
        self.unanswered -= 1
        if failure is None:
            self.confirmed += 1
        else:
            self.failed.append(failure)
        if self._meters is not None:
            self._count(message, failure)
        self._changed.set()

    def _give_up(self) -> None:
        """Put in doubt what has waited too long, and look again when the next one will have."""
        self._timer = None
        loop = asyncio.get_running_loop()
        for number, waiting in list(itertools.takewhile(self._is_late, self._waiting.items())):
            self._answer(number, self._refused(TimeoutError(), waiting.message))
        if self._waiting:
            oldest = next(iter(self._waiting.values()))
            self._timer = loop.call_at(oldest.until, self._give_up)

    @staticmethod
    def _is_late(item: tuple[str, _Waiting]) -> bool:
        # A little ahead: a timer may come a moment before its time.
        return item[1].until <= asyncio.get_running_loop().time() + 0.01

    def _hear_denied(self, act: str, denied: NotAllowed) -> None:
        for number, waiting in list(self._waiting.items()):
            if publishing(waiting.message.channel) == act:
                failure = PublishRefused(denied.what, broker="nats", remedy=denied.remedy)
                failure.__cause__ = denied
                self._answer(number, failure)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await self._close()

    async def _close(self) -> None:
        answers, self._answers = self._answers, None
        self.stream.client.denials.listeners.discard(self._hear_denied)
        for number, waiting in list(self._waiting.items()):  # nobody waits for them any more
            self._answer(number, self._refused(TimeoutError(), waiting.message))
        if self._timer is not None:
            self._timer.cancel()
        if answers is not None:
            with suppress(*NATIVE):
                await answers.unsubscribe()
