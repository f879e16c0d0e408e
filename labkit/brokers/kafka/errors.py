"""What aiokafka's errors mean, and how long it is waited for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS
from labkit.errors import BrokerError

__all__ = ["asking"]

ANSWER_SECONDS = CALL_SECONDS + 1.0
"""The longest a call may take: aiokafka's own limits end first, and say more."""


@asynccontextmanager
async def asking(what: str, remedy: str, error_kind: type[BrokerError] = BrokerError) -> AsyncIterator[None]:
    """Give the calls inside 6 seconds, and turn aiokafka's errors into ours."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except (KafkaError, OSError) as error:
        reason = f"no answer within {ANSWER_SECONDS:g} s" if isinstance(error, TimeoutError) else repr(error)
        raise error_kind(f"{what}: {reason}.", broker="kafka", remedy=remedy) from error
