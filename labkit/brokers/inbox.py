"""Where deliveries wait between the client library and the subscriber."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Inbox"]

Item = TypeVar("Item")
Waiting = deque[asyncio.Future[None]]


class Inbox(Generic[Item]):
    """A queue with ``size`` places. It does what ``asyncio.Queue`` does, with less work a message.

    Every message of a subscriber goes through it, so that it is worth a class of its own. Full, it makes
    whoever puts wait, and with it the client library: the broker's own limits for slow subscribers hold.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Item] = deque()
        self._takers: Waiting = deque()
        self._givers: Waiting = deque()

    def empty(self) -> bool:
        """Return whether nothing waits here."""
        return not self._items

    async def put(self, item: Item) -> None:
        """Add an item; wait while the inbox is full."""
        while len(self._items) >= self._size:
            await _wait(self._givers)
        self.put_nowait(item)

    def put_nowait(self, item: Item) -> None:
        """Add an item, even to a full inbox: for a last word to whoever takes."""
        self._items.append(item)
        if self._takers:
            _wake_one(self._takers)

    async def get(self) -> Item:
        """Take the item that has waited longest; wait for one if there is none."""
        while not self._items:
            await _wait(self._takers)
        return self.get_nowait()

    def get_nowait(self) -> Item:
        """Take the item that has waited longest. Raises ``IndexError`` if there is none."""
        item = self._items.popleft()
        if self._givers:
            _wake_one(self._givers)
        return item

    def clear(self) -> None:
        """Drop everything that waits here."""
        while self._items:
            self.get_nowait()


async def _wait(waiting: Waiting) -> None:
    turn = asyncio.get_running_loop().create_future()
    waiting.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if turn.cancelled():
            with suppress(ValueError):  # it may be out already: somebody came to wake it
                waiting.remove(turn)
        else:  # it was our turn, and we go: the next one must not sleep for ever
            _wake_one(waiting)
        raise


def _wake_one(waiting: Waiting) -> None:
    while waiting:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return
