"""A broker's state, and who wants to hear of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from labkit.servers.server import State

__all__ = ["Watched"]


class Watched:
    """What every kind of server has: a state that tells its watchers, and can be waited for."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.doing = ""
        self._state = State.STOPPED
        self._watchers: list[Callable[[Any], None]] = []
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def state(self) -> State:
        """What the broker is doing now."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state is self._state:
            return
        self._state = state
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        for watcher in list(self._watchers):
            watcher(self)

    def on_change(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call ``callback(server)`` on the event loop at each change of state; return what ends that."""
        self._watchers.append(callback)

        def forget() -> None:
            if callback in self._watchers:
                self._watchers.remove(callback)

        return forget

    async def _until(self, *states: State) -> None:
        """Wait until the state is one of these."""
        while self._state not in states:
            change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(change)
            try:
                await change
            finally:
                self._waiting.discard(change)
