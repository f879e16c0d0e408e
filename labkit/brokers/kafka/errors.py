"""What aiokafka's errors mean, and how long it is waited for an answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import errors as native  # type: ignore[import-untyped]
from aiokafka.conn import create_conn  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.kafka.address import Address
from labkit.errors import (
    BrokerError,
    ChannelClosed,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    LoginRefused,
    NoAnswer,
    NotAllowed,
    NotFound,
    PublishFailed,
    PublishInDoubt,
    PublishNotAllowed,
    PublishNotFound,
    PublishRefused,
)

__all__ = [
    "ANSWER_SECONDS",
    "NATIVE_ERRORS",
    "Fenced",
    "asking",
    "connect_error",
    "meaning",
    "publish_error",
    "raise_first",
]

ANSWER_SECONDS = CALL_SECONDS + 1.0
"""The longest a call may take: aiokafka's own limits end first, and say more."""

REASON_SECONDS = 2.0
"""How long a second connection is tried, to hear why the first one failed."""

NATIVE_ERRORS = (
    native.KafkaError,
    native.IllegalOperation,
    native.ConsumerStoppedError,
    AssertionError,  # aiokafka's word for a partition that does not exist, or a producer in a wrong state
    OSError,
)


class Fenced(PublishNotAllowed):
    """A newer producer has the same transactional id: Kafka takes nothing more from this one."""


NOT_FOUND = (native.UnknownTopicOrPartitionError, native.GroupIdNotFound)
NOT_ALLOWED = (
    native.TopicAuthorizationFailedError,
    native.GroupAuthorizationFailedError,
    native.ClusterAuthorizationFailedError,
    native.TransactionalIdAuthorizationFailed,
)
FENCED = (native.ProducerFenced, native.InvalidProducerEpoch)
CONFLICT = (native.TopicAlreadyExistsError, native.InvalidPartitionsError, native.NonEmptyGroup)
LOST = (native.KafkaConnectionError, native.NodeNotReadyError, native.NoBrokersAvailable, ConnectionError)
SILENT = (TimeoutError, native.RequestTimedOutError, native.KafkaTimeoutError)
CLOSED = (native.ProducerClosed, native.ConsumerStoppedError)
REFUSED = (
    native.MessageSizeTooLargeError,
    native.RecordListTooLargeError,
    native.InvalidTimestampError,
    native.InvalidTopicError,
    native.UnsupportedForMessageFormatError,
    native.PolicyViolationError,
)
"""A broker that answers with one of these has not taken the message, and never will."""

LOGIN = (
    native.SaslAuthenticationFailed,
    native.UnsupportedSaslMechanismError,
    native.IllegalSaslStateError,
    native.AuthenticationFailedError,
    ssl.SSLError,
)

MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[BrokerError]], ...] = (
    (NOT_FOUND, NotFound),
    (NOT_ALLOWED, NotAllowed),
    (FENCED, Fenced),
    (CONFLICT, Conflict),
    (SILENT, NoAnswer),  # before LOST: a TimeoutError is an OSError
    (CLOSED, ChannelClosed),
    (LOST, ConnectionLost),
)


REMEDIES = {
    native.InvalidSessionTimeoutError: (
        "ask for a session_timeout that the broker allows; its group.min.session.timeout.ms is 6 s unless set"
    ),
}


@asynccontextmanager
async def asking(what: str, remedy: str, seconds: float = ANSWER_SECONDS) -> AsyncIterator[None]:
    """Give the calls inside this long, and turn aiokafka's errors into ours.

    ``what`` is the sentence that the error begins with, without its full stop.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except NATIVE_ERRORS as error:
        raise meaning(error, what, remedy, seconds) from error


def meaning(error: BaseException, what: str, remedy: str, seconds: float = ANSWER_SECONDS) -> BrokerError:
    """Return our error for one of aiokafka's; the caller raises it ``from`` that."""
    kind = next((ours for theirs, ours in MEANINGS if isinstance(error, theirs)), BrokerError)
    remedy = REMEDIES.get(type(error), remedy)
    return kind(f"{what}: {_reason(error, seconds)}.", broker="kafka", remedy=remedy)


def _reason(error: BaseException, seconds: float) -> str:
    if type(error) is TimeoutError:
        return f"no answer within {seconds:g} s"
    return repr(error)


def publish_error(error: BaseException, what: str, *, was_sent: bool, seconds: float) -> PublishFailed:
    """Return what it means that a message was not confirmed.

    ``was_sent`` tells whether the library had taken the message: if not, the broker certainly has nothing.
    """
    kind, remedy = _publish_kind(error, was_sent)
    return kind(f"{what}: {_reason(error, seconds)}.", broker="kafka", remedy=remedy)


def _publish_kind(error: BaseException, was_sent: bool) -> tuple[type[PublishFailed], str]:
    if isinstance(error, (native.UnknownTopicOrPartitionError, AssertionError)):
        return (
            PublishNotFound,
            "create it first: `await client.topic(name, partitions=...)`; check that Kafka runs",
        )
    if isinstance(error, NOT_ALLOWED):
        return PublishNotAllowed, "ask for the right to write there, or connect as another user"
    if isinstance(error, FENCED):
        return Fenced, "end one of the two programs that use this transactional id"
    if isinstance(error, native.MessageSizeTooLargeError):
        return (
            PublishRefused,
            "send less, or store it elsewhere and send where; `max.message.bytes` is the limit",
        )
    if isinstance(error, REFUSED):
        return PublishRefused, "change what the broker complains about, then publish again"
    if isinstance(error, CLOSED):
        return PublishRefused, "make a new producer: `await client.producer(...)`"
    if type(error) is native.UnknownError:
        return (
            PublishInDoubt,
            "read the broker's log; one that aiokafka has no name for is a key that is missing",
        )
    if not was_sent:
        return PublishRefused, "check that the broker runs, then publish again"
    return PublishInDoubt, "check that the broker runs; published again, the message may be there twice"


async def connect_error(address: Address, error: BaseException) -> ConnectFailed:
    """Return why no connection could be made; ``__cause__`` is set.

    aiokafka says the same for every reason, and logs the true one. So connect once more by hand, and hear it.
    """
    reason = error if isinstance(error, TimeoutError) else await _true_reason(address) or error
    if isinstance(reason, LOGIN):
        kind: type[ConnectFailed] = LoginRefused
        what, remedy = "does not let us in", "check user, password, mechanism and certificate"
    else:
        kind, what, remedy = ConnectFailed, "does not answer", "check the address, and that the broker runs"
    failed = kind(f"Kafka at {address.bootstrap} {what}: {reason!r}.", broker="kafka", remedy=remedy)
    failed.__cause__ = reason
    return failed


async def _true_reason(address: Address) -> BaseException | None:
    host, _, port = address.bootstrap.split(",")[0].rpartition(":")
    try:
        async with asyncio.timeout(REASON_SECONDS):
            connection = await create_conn(host, int(port), **address.security())
    except Exception as error:  # whatever it is: it is what the caller wants to know
        return error
    connection.close()
    return None


def raise_first(answers: Iterable[tuple[object, ...]]) -> None:
    """Raise the first error among the answers: aiokafka's admin client only reports them."""
    for _name, code, *message in answers:
        error = native.for_code(code)
        if error is not native.NoError:
            raise error(*message)
