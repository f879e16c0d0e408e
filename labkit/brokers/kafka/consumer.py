"""Ending a native consumer, whatever the broker does."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS, was_cancelled

__all__ = ["stop_consumer"]


async def stop_consumer(native: AIOKafkaConsumer) -> None:
    """Stop a consumer and close its connections, whatever the broker does."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await native.stop()
    except TimeoutError:
        await native._client.close()  # a dead broker cannot be told that we leave; it finds out
    except asyncio.CancelledError:
        if was_cancelled():
            raise
        # aiokafka 0.14 awaits the fetches it cancels: one that is about to try again ends its stop halfway.
        await native._client.close()
