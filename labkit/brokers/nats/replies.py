"""The replies to this connection's questions: one inbox for all of them, and a future for each."""

from __future__ import annotations

import asyncio
import itertools
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client as NativeClient
from nats.aio.msg import Msg

from labkit.brokers.nats.denials import REPLIES, Denials, publishing
from labkit.errors import NotAllowed

__all__ = ["Replies"]

NOBODY = "503"
"""The status of the reply that the server itself sends where nobody is subscribed."""


class _Question(NamedTuple):
    """Somebody waits: ``answer`` is to hold the reply, or the error that there will be none."""

    answer: asyncio.Future[Msg | Exception]
    subject: str
    ends_with_connection: bool


class Replies:
    """Asks, and waits for the reply.

    Not nats-py's ``request``: that makes a random name and copies of it for each question, and cannot be told
    that the server refused the question. Here a question costs a number, a future and a timer.
    """

    def __init__(self, denials: Denials) -> None:
        self._denials = denials
        self._native: NativeClient | None = None
        self._inbox = ""
        self._opening = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Question] = {}
        self.late = 0
        """Replies that came when nobody waited for them any more."""
        denials.listeners.add(self._hear_denied)
        denials.on_loss.add(self._hear_lost)

    async def ask(
        self,
        native: NativeClient,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None,
        seconds: float,
        *,
        ends_with_connection: bool,
    ) -> Msg:
        """Publish a question, and return the first reply.

        Raises nats-py's errors: ``NoRespondersError`` if nobody is subscribed, ``TimeoutError`` after
        ``seconds``, ``UnexpectedEOF`` if the connection is lost and the question ends with it; and
        ``NotAllowed``, at once, if the server refuses the question or its reply.
        """
        if self._native is not native:
            await self._open(native)
        if self._denials.unheard:
            self._raise_denied(REPLIES)
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        answer: asyncio.Future[Msg | Exception] = loop.create_future()
        self._waiting[number] = _Question(answer, subject, ends_with_connection)
        limit = loop.call_later(seconds, _end, answer, nats.errors.TimeoutError())
        try:
            await native.publish(subject, data, f"{self._inbox}.{number}", headers)
            reply = await answer
        finally:
            limit.cancel()
            del self._waiting[number]
        if isinstance(reply, NotAllowed):
            self._raise_denied(publishing(subject), REPLIES)
        if isinstance(reply, Exception):
            raise reply
        if reply.headers and reply.headers.get("Status") == NOBODY:
            raise nats.errors.NoRespondersError
        return reply

    async def _open(self, native: NativeClient) -> None:
        async with self._opening:  # of many first questions one subscribes, and the others wait
            if self._native is not native:
                self._inbox = native.new_inbox()
                await native.subscribe(f"{self._inbox}.*", cb=self._hear)
                self._native = native

    async def _hear(self, reply: Msg) -> None:
        question = self._waiting.get(reply.subject.rpartition(".")[2])
        if question is None:
            self.late += 1
        else:
            _end(question.answer, reply)

    def _hear_denied(self, act: str, denied: NotAllowed) -> None:
        for question in self._waiting.values():
            if act == publishing(question.subject) or act.startswith(REPLIES):
                _end(question.answer, denied)

    def _hear_lost(self) -> None:
        for question in self._waiting.values():
            if question.ends_with_connection:
                _end(question.answer, nats.errors.UnexpectedEOF())

    def _raise_denied(self, *acts: str) -> None:
        """Raise the refusal of one of these, if there is one, and forget that nobody was told."""
        denied = self._denials.take(*acts)
        if denied is not None:
            raise denied from denied.__cause__


def _end(answer: asyncio.Future[Msg | Exception], result: Msg | Exception) -> None:
    if not answer.done():
        answer.set_result(result)
