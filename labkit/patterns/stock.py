"""The shop's stock service: it counts and reserves, and it can be slow. And what makes a retry harmless."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from labkit.patterns.replies import Handler

__all__ = ["Once", "StockRoom"]


class StockRoom:
    """What is in stock: ``StockRoom(tea=20)``. ``handle`` works on a request to it.

    ``{"count": "tea"}`` is answered by ``{"left": 20}``; ``{"reserve": "tea", "amount": 2}`` by
    ``{"reserved": 2, "left": 18}``, or by ``{"reserved": 0, ...}`` if there is not enough.

    ``service_time`` is how many seconds it works on a request from now on; ``handled`` counts the requests
    that it is done with.
    """

    def __init__(self, **left: int) -> None:
        self.left = left
        self.service_time = 0.0
        self.handled = 0

    async def handle(self, request: Mapping[str, Any]) -> dict[str, int]:
        """Work on one request. Raises ``KeyError`` for what is not in its books."""
        await asyncio.sleep(self.service_time)
        self.handled += 1
        if "count" in request:
            return {"left": self.left[request["count"]]}
        return self._reserve(request["reserve"], request["amount"])

    def _reserve(self, item: str, amount: int) -> dict[str, int]:
        reserved = amount if amount <= self.left[item] else 0
        self.left[item] -= reserved
        return {"reserved": reserved, "left": self.left[item]}

    def __repr__(self) -> str:
        return f"<StockRoom {self.left}, handled {self.handled}>"


class Once:
    """A handler that works once for each key, however often the request comes, and replies the same again.

    The key is the request's ``"key"``; whoever asks again sends the same. ``again`` counts the requests that
    it did not work on. It remembers in memory: a program that has to survive its own crash keeps the keys
    where it keeps the work, in one transaction.
    """

    def __init__(self, handler: Handler) -> None:
        self.again = 0
        self._handler = handler
        self._done: dict[str, asyncio.Task[Any]] = {}

    async def __call__(self, request: Mapping[str, Any]) -> Any:
        """Work on a request unless its key is known; return what the first of its key got."""
        key = request["key"]
        if key in self._done:
            self.again += 1
        else:
            self._done[key] = asyncio.ensure_future(self._handler(request))
        try:
            return await asyncio.shield(self._done[key])  # a second request may wait for the same work
        except Exception:
            self._done.pop(key, None)  # it failed, so it is not done
            raise
