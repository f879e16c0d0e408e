"""What aio-pika's errors mean, and how long it is waited for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AMQPChannelError,
    AMQPConnectionError,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
)
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ChannelPreconditionFailed

from labkit.brokers.client import CALL_SECONDS, was_cancelled
from labkit.errors import (
    BrokerError,
    Conflict,
    ConnectionLost,
    NoAnswer,
    NotAllowed,
    NotFound,
    PublishFailed,
    PublishInDoubt,
    PublishNotAllowed,
    PublishNotFound,
    PublishRefused,
)

__all__ = ["ask", "asking", "is_about_one_message", "publish_failure", "reason"]

Answer = TypeVar("Answer")

LOST = "the connection is lost; the client is connecting again"


@asynccontextmanager
async def asking(what: str, remedy: str, error_kind: type[BrokerError] | None = None) -> AsyncIterator[None]:
    """Give the calls inside 5 seconds, and turn aio-pika's errors into ours.

    ``error_kind`` is the error to raise; without one it is the kind that fits what happened.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (*CONNECTION_EXCEPTIONS, ValueError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and was_cancelled():
            raise
        kind = error_kind or _kind(error)
        raise kind(f"{what}: {reason(error)}.", broker="rabbitmq", remedy=remedy) from error


async def ask(work: Coroutine[Any, Any, Answer], what: str, remedy: str) -> Answer:
    """Do the same for a question to RabbitMQ, which goes on when nobody waits for the answer any more.

    A question that is cancelled leaves aiormq and RabbitMQ with different ideas of which channels are open,
    and RabbitMQ then closes the whole connection ("expected 'channel.open'"; aiormq 7.2).
    """
    question = asyncio.create_task(work)
    _questions.add(question)
    question.add_done_callback(_answered)
    async with asking(what, remedy):
        return await asyncio.shield(question)


_questions: set[asyncio.Task[Any]] = set()


def _answered(question: asyncio.Task[Any]) -> None:
    _questions.discard(question)
    if not question.cancelled():
        question.exception()  # whoever still waits gets it; if nobody does, it is no news


def publish_failure(error: BaseException, what: str, *, alone: bool) -> PublishFailed:
    """Return what it means for a message that its confirm did not come.

    A nack is about this message. What closes the channel (too large, not allowed, no such exchange) fails
    every message under way on it, so only one that was ``alone`` there is certainly refused.
    """
    certain = isinstance(error, DeliveryError) or (alone and is_about_one_message(error))
    kind = _REFUSED.get(_kind(error), PublishRefused) if certain else PublishInDoubt
    remedy = "mend what RabbitMQ objects to" if certain else "publish again; it may then arrive twice"
    return kind(f"{what}: {reason(error)}.", broker="rabbitmq", remedy=remedy)


def is_about_one_message(error: BaseException) -> bool:
    """Return whether RabbitMQ closed the channel because of a message, and the connection is sound."""
    return isinstance(error, AMQPChannelError)


def reason(error: BaseException) -> str:
    """Return what happened in RabbitMQ's own words, where it said any."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CALL_SECONDS:g} s"
    if isinstance(error, ChannelInvalidStateError | ConnectionError | asyncio.CancelledError):
        return LOST
    if isinstance(error, DeliveryError):
        return "it answered with a nack: the queue is full, or cannot take it"
    if isinstance(error, ChannelClosed) and error.args and error.args[-1]:
        return str(error.args[-1])
    return str(error) or type(error).__name__


def _kind(error: BaseException) -> type[BrokerError]:
    for native, kind in _KINDS:
        if isinstance(error, native):
            return kind
    if isinstance(error, ChannelPreconditionFailed) and "inequivalent" in str(error):
        return Conflict
    return BrokerError


_KINDS: tuple[tuple[type[BaseException], type[BrokerError]], ...] = (
    (TimeoutError, NoAnswer),
    (ChannelNotFoundEntity, NotFound),
    (ChannelAccessRefused, NotAllowed),
    (ChannelLockedResource, Conflict),
    (ChannelInvalidStateError, ConnectionLost),
    (AMQPConnectionError, ConnectionLost),
    (ConnectionError, ConnectionLost),
    (asyncio.CancelledError, ConnectionLost),
)
_REFUSED: dict[type[BrokerError], type[PublishFailed]] = {
    NotFound: PublishNotFound,
    NotAllowed: PublishNotAllowed,
}
