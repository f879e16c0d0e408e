"""What an engine tells about one container, brought from a thread of its own to the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from labkit.servers.engine import Engine

__all__ = ["Events"]


class Events:
    """The events of a container, from a moment ago on, each given to ``heard`` on the event loop."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[dict[str, Any]], None],
    ) -> None:
        self._loop, self._heard = loop, heard
        filters = {"type": "container", "container": container}
        # Not later than its start, which may be this very second.
        since = int(time.time())
        self._stream = engine.native.events(decode=True, since=since, filters=filters)
        threading.Thread(target=self._listen, name="listen to the engine", daemon=True).start()

    def close(self) -> None:
        """Hear no more."""
        self._heard = _ignore
        with suppress(Exception):  # whatever state its socket is in
            self._stream.close()

    def _listen(self) -> None:
        with suppress(Exception):  # closed by us, or the engine has gone: its containers tell no more
            for event in self._stream:
                self._loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: dict[str, Any]) -> None:
        self._heard(event)


def _ignore(event: dict[str, Any]) -> None:
    """Nothing."""
