"""Checkouts that ask all the time: a request for each order, many at once, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import BrokerError, NoReply, NoResponders
from labkit.patterns.replies import RequestReply

__all__ = ["Checkout", "Outcome"]


@dataclass(slots=True)
class Outcome:
    """What came of the requests so far. What is asked and none of the others is under way.

    ``timed_out`` got no reply before the deadline; ``nobody`` were told that nobody is there; ``failed`` did
    not reach the broker, or nobody knows whether they did.
    """

    asked: int = 0
    answered: int = 0
    timed_out: int = 0
    nobody: int = 0
    failed: int = 0

    @property
    def under_way(self) -> int:
        """Requests that still wait for a reply."""
        return self.asked - self.answered - self.timed_out - self.nobody - self.failed


class Checkout:
    """Asks the stock service how much is left of what each order wants; does not wait for one to ask more.

    ``Traffic`` publishes orders to it as to a shop, so it has a rate. ``within`` is the deadline of the
    requests from now on, in seconds.
    """

    confirms = True

    def __init__(self, stock: RequestReply[Any], within: float = 1.0) -> None:
        self.stock = stock
        self.within = within
        self.outcome = Outcome()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.stock.broker

    async def publish(self, event: str, order: Mapping[str, Any]) -> None:
        """Ask about an order, and return at once."""
        self.outcome.asked += 1
        task = asyncio.create_task(self._ask(order), name=f"checkout on {self.broker}")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _ask(self, order: Mapping[str, Any]) -> None:
        outcome = self.outcome
        try:
            await self.stock.ask({"count": order["item"]}, self.within)
        except NoResponders:
            outcome.nobody += 1
        except NoReply:
            outcome.timed_out += 1
        except BrokerError:
            outcome.failed += 1
        else:
            outcome.answered += 1

    async def settled(self) -> Outcome:
        """Wait until every request has come to its end, and return what came of all so far.

        Those who serve are then done, too: the broker has told them that it has their replies.
        """
        await asyncio.gather(*self._open)
        await asyncio.gather(*(responder.idle() for responder in self.stock.responders.values()))
        return self.outcome

    def __repr__(self) -> str:
        return f"<checkout on {self.broker}: {self.outcome}>"
