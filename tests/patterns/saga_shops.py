"""Shops for the saga's tests: opened on a broker, closed when the test is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.patterns.saga import RECIPES, SagaShop
from tests.support import unique

__all__ = ["Shops", "declined"]


class Shops:
    """Opens shops on one broker, each with channels and databases of its own."""

    def __init__(self, client: Any, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._open: list[SagaShop] = []

    async def open(self, **options: Any) -> SagaShop:
        transport = RECIPES[self._client.broker](self._client, unique("saga"), again=0.5)
        folder = self._folder / transport.name
        folder.mkdir()
        shop = SagaShop(transport, folder, **options)
        self._open.append(shop)
        return await shop.open()

    async def close(self) -> None:
        for shop in self._open:
            await shop.close()


def declined(number: int) -> bool:
    """Decline the card of every second order."""
    return number % 2 == 0
