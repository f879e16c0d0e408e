"""The shop's stock ledger: arrivals, sales and returns are events; what is in stock is a view of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from labkit.patterns.event_stream import Event, EventLog

__all__ = ["StockShop", "StockView", "book", "make_change", "order_steps"]

ITEMS = ("tea", "coffee", "honey", "bread")
STEPS = ("created", "paid", "packed", "shipped")


def make_change(number: int) -> dict[str, Any]:
    """Return change ``number`` of the stock, from 1; always the same one for the same number.

    Of each item in turn ten arrive, some are sold twice, and one comes back; then again.
    """
    round_, at = divmod(number - 1, len(ITEMS))
    what, change = (("arrived", 10), ("sold", -3), ("sold", -at - 1), ("returned", 1))[round_ % 4]
    return {"id": number, "event": what, "item": ITEMS[at], "change": change}


def order_steps(orders: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield what happens to these orders, step by step, all orders side by side."""
    numbers = list(orders)
    yield from ((order, step) for step in STEPS for order in numbers)


async def book(log: EventLog[Any], numbers: Iterable[int]) -> None:
    """Append these changes of the stock, one after another. The key is the item."""
    for number in numbers:
        change = make_change(number)
        await log.append(change["item"], change)


class StockView:
    """How much of each item is in stock, as far as this view has heard.

    A change that comes twice counts once: the view keeps the ids of what it has counted.
    """

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._counted: set[int] = set()

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return the view of these events."""
        view = cls()
        for event in events:
            view.apply(event)
        return view

    def apply(self, event: Event) -> None:
        """Count one event."""
        self.apply_change(event.value)

    def apply_change(self, change: Mapping[str, Any]) -> None:
        """Count one change, however it came here."""
        if change["id"] not in self._counted:
            self._counted.add(change["id"])
            self.levels[change["item"]] = self.levels.get(change["item"], 0) + change["change"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StockView) and self.levels == other.levels

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<stock: {', '.join(f'{item} {self.levels[item]}' for item in sorted(self.levels))}>"


class StockShop:
    """Lets ``Traffic`` book changes of the stock: ``Traffic([StockShop(log) for log in logs.values()])``."""

    confirms = True

    def __init__(self, log: EventLog[Any]) -> None:
        self.log = log
        self.broker = log.broker

    async def publish(self, event: str, order: Mapping[str, Any]) -> None:
        """Book the change of the order's number. Raises ``PublishFailed``."""
        await book(self.log, [order["order"]])
