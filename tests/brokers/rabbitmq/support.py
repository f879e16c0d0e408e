"""What the tests of RabbitMQ share."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from labkit.servers.process import ProcessServer
from tests.support import until_told

__all__ = ["LAST", "depth_becomes", "evaluated", "take", "values_until_last"]

LAST = "last"
"""Published at the end: when it has arrived, all that will arrive has."""


async def take(subscription: Any, count: int) -> list[Any]:
    """Return the next deliveries, not settled."""
    async with asyncio.timeout(30):
        return [await anext(subscription) for _ in range(count)]


async def values_until_last(subscription: Any) -> list[Any]:
    """Open a subscription, acknowledge everything up to ``LAST``, close it, and return what came before."""
    values: list[Any] = []
    async with asyncio.timeout(30), subscription:
        while (delivery := await anext(subscription)).value != LAST:
            values.append(delivery.value)
            if hasattr(delivery, "ack"):
                await delivery.ack()
        if hasattr(delivery, "ack"):
            await delivery.ack()
    return values


async def depth_becomes(queue: Any, messages: int) -> None:
    """Wait until so many messages wait in the queue."""
    await until_told(queue.depth, lambda depth: depth == messages)


async def evaluated(server: ProcessServer, code: str) -> str:
    """Have the broker evaluate a line of Erlang, as ``rabbitmqctl eval`` does; return what it answers."""
    erlang = server.program.parts["erlang"]
    process = await asyncio.create_subprocess_exec(
        *(str(erlang / "bin" / "erl_call"), "-address", f"localhost:{server.ports['cluster']}"),
        *("-c", "lab", "-e"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HOME": str(server.folder / "home")},
    )
    told, _ = await process.communicate(f"{code}\n".encode())
    assert told.startswith(b"{ok,"), told
    return told.decode()
