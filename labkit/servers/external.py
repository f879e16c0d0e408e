"""A broker of somebody else's: the lab uses it, and never starts, ends or freezes it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from labkit.errors import NotRunning, StartFailed
from labkit.servers.recipe import Recipe
from labkit.servers.server import State
from labkit.servers.watched import Watched

__all__ = ["ExternalServer", "external_url"]

ANSWER_SECONDS = 10.0


def external_url(broker: str) -> str | None:
    """Return the address in ``LABKIT_NATS_URL`` and so on, None if it is not set."""
    return os.environ.get(f"LABKIT_{broker.upper()}_URL") or None


class ExternalServer(Watched):
    """A broker at an address of your own."""

    how = "external"

    def __init__(self, broker: str, recipe: Recipe, url: str) -> None:
        super().__init__(broker)
        self._recipe = recipe
        self._url = url
        self._version = ""

    @property
    def version(self) -> str:
        """What the broker tells, "" if it tells none."""
        return self._version

    @property
    def url(self) -> str:
        """The address that was given."""
        return self._url

    @property
    def ports(self) -> Mapping[str, int]:
        """The port in the address, under "client"."""
        port = urlsplit(self._url).port
        return {"client": port} if port else {}

    @property
    def ready_in(self) -> float | None:
        """None: nobody here saw it start."""
        return None

    @property
    def pid(self) -> int | None:
        """None: its process is not ours."""
        return None

    @property
    def folder(self) -> Path | None:
        """None: its data is not ours."""
        return None

    def memory(self) -> int | None:
        """Return None: its process is not ours to measure."""
        return None

    def log_tail(self, lines: int = 20) -> str:
        """Return nothing: its log is not ours to read."""
        return ""

    async def start(self) -> None:
        """Check that it answers. Raises ``StartFailed`` if it does not within ten seconds."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._version = await self._recipe.probe(self._url)
        except Exception as error:
            raise StartFailed(
                f"No {self.broker} answers at LABKIT_{self.broker.upper()}_URL after "
                f"{time.monotonic() - began:.0f} s: {error!r}.",
                broker=self.broker,
                remedy="check the address, or unset the variable to have the lab start its own",
            ) from error
        self.state = State.RUNNING

    async def stop(self) -> None:
        """Leave it. It goes on."""
        self.state = State.STOPPED

    async def kill(self) -> None:
        """Raise ``NotRunning``: it is not ours to kill."""
        raise self._not_ours("killed")

    async def pause(self) -> None:
        """Raise ``NotRunning``: it is not ours to freeze."""
        raise self._not_ours("paused")

    async def resume(self) -> None:
        """Raise ``NotRunning``: it is not ours."""
        raise self._not_ours("resumed")

    async def restart(self) -> None:
        """Raise ``NotRunning``: it is not ours to restart."""
        raise self._not_ours("restarted")

    def _not_ours(self, done: str) -> NotRunning:
        return NotRunning(
            f"This {self.broker} is yours, not the lab's, so the lab does not let it be {done}.",
            broker=self.broker,
            remedy=f"unset LABKIT_{self.broker.upper()}_URL to have the lab start its own",
        )
