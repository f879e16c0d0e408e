"""Whether a broker that was started is ready: its protocol answers, not only its port."""

from __future__ import annotations

import asyncio

from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Recipe

__all__ = ["answer"]

PROBE_SECONDS = 5.0


async def answer(recipe: Recipe, url: str, port: int) -> str | None:
    """Return the version the broker tells ("" if it tells none), None if it does not answer yet."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            # A bare connection first: it costs little to try, and the broker little to refuse.
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return await recipe.probe(url)
    except Exception:
        return None  # not yet; whatever the client made of it
