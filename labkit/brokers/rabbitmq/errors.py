"""What aio-pika's errors mean, and how long it is waited for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from labkit.brokers.client import CALL_SECONDS, was_cancelled
from labkit.errors import BrokerError

__all__ = ["ask", "asking"]

Answer = TypeVar("Answer")


@asynccontextmanager
async def asking(what: str, remedy: str, error_kind: type[BrokerError] = BrokerError) -> AsyncIterator[None]:
    """Give the calls inside 5 seconds, and turn aio-pika's errors into ours."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and was_cancelled():
            raise
        # A connection that broke cancels whoever waits in aiormq.
        raise error_kind(f"{what}: {_reason(error)}.", broker="rabbitmq", remedy=remedy) from error


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


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CALL_SECONDS:g} s"
    if isinstance(error, ChannelInvalidStateError | ConnectionError | asyncio.CancelledError):
        return "the connection is lost; the client is connecting again"
    return str(error) or type(error).__name__
