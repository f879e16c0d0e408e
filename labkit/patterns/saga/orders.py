"""Who takes the orders: an orchestrator that leads each of them, or a book that only listens."""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from labkit.patterns.saga.database import Letter
from labkit.patterns.saga.program import Program, letter
from labkit.patterns.saga.services import EVENTS
from labkit.patterns.saga.steps import (
    FINISHED,
    PLACED,
    Outcome,
    Phase,
    Saga,
    after,
    after_deadline,
    command_of,
    expecting,
)

__all__ = ["Listener", "NaiveCheckout", "Orchestrator", "Orders", "Support"]

WATCH_SECONDS = 0.02
"""How often the orchestrator looks for orders whose deadline is over."""


class Orders(Program):
    """Takes orders, and knows where each of them is."""

    name = "orders"

    def place(self, number: int) -> None:
        """Take an order: it is kept, together with the first message about it, before anything happens."""
        with self.database.transaction():
            self.database.send(self.first(number))
        self._has_letters.set()

    @abstractmethod
    def first(self, number: int) -> list[Letter]:
        """Keep a new order, and return the first message about it. Inside a transaction."""

    def saga_of(self, number: int) -> Saga | None:
        """Return where an order is; None if there is no such order."""
        row = self.database.execute("SELECT phase, at FROM sagas WHERE number = ?", number).fetchone()
        return Saga(Phase(row[0]), row[1]) if row else None

    def phases(self) -> dict[int, Phase]:
        """Return the phase of every order."""
        rows = self.database.execute("SELECT number, phase FROM sagas ORDER BY number")
        return {number: Phase(phase) for number, phase in rows}

    def keep(self, number: int, saga: Saga) -> None:
        """Save where an order is, and since when."""
        values = (number, saga.phase, saga.at, time.time())
        self.database.execute("INSERT OR REPLACE INTO sagas VALUES (?, ?, ?, ?)", *values)


class Orchestrator(Orders):
    """Leads every order: sends a command, waits for its reply, sends the next one.

    Where an order is, and the command that follows, are saved in one transaction before the command is sent.
    ``late`` counts replies that an order did not wait for any more, ``timed_out`` the deadlines that passed.
    """

    late = 0
    timed_out = 0

    async def open(self) -> None:
        await super().open()
        self._start(self._watch_deadlines())

    def first(self, number: int) -> list[Letter]:
        return [] if self.saga_of(number) else self._go_on(number, Saga())

    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        number = message["order"]
        saga = self.saga_of(number) or Saga()
        then = after(saga, message["command"], Outcome(message["outcome"]))
        if then == saga:
            self.late += 1
            return []
        return self._go_on(number, then)

    def commands(self, number: int) -> list[str]:
        """Return the commands of an order, oldest first, as the outbox has them."""
        letters = (
            json.loads(text) for (text,) in self.database.execute("SELECT message FROM outbox ORDER BY n")
        )
        return [letter["command"] for letter in letters if letter["order"] == number]

    def _go_on(self, number: int, saga: Saga) -> list[Letter]:
        self.keep(number, saga)
        command = command_of(saga)
        return [letter(command.program, number, command.name)] if command else []

    async def _watch_deadlines(self) -> None:
        while True:
            for number in self._overdue():
                self._give_up_or_ask_again(number)
            await asyncio.sleep(WATCH_SECONDS)

    def _overdue(self) -> list[int]:
        rows = self.database.execute(
            f"SELECT number FROM sagas WHERE since < ? AND phase NOT IN ({', '.join('?' * len(FINISHED))})",
            time.time() - self.world.deadline,
            *FINISHED,
        )
        return [number for (number,) in rows]

    def _give_up_or_ask_again(self, number: int) -> None:
        saga = self.saga_of(number)
        assert saga is not None
        self.timed_out += 1
        with self.database.transaction():
            self.database.send(self._go_on(number, after_deadline(saga)))
        self._has_letters.set()


class Listener(Orders):
    """Leads nothing: announces an order, and learns from the events how it ended."""

    def first(self, number: int) -> list[Letter]:
        self.keep(number, Saga())
        return [letter(EVENTS, number, PLACED, Outcome.DONE)]

    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        number, command = message["order"], message["command"]
        known = self.saga_of(number)
        if command != PLACED and (known is None or known.phase not in FINISHED):
            self.keep(number, after(expecting(command), command, Outcome(message["outcome"])))
        return []


class NaiveCheckout(Orders):
    """Goes from step to step, and keeps where each order is in its memory."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.sagas: dict[int, Saga] = {}

    def first(self, number: int) -> list[Letter]:
        return self._go_on(number, Saga())

    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        number = message["order"]
        if number not in self.sagas:
            return []  # of which order does it speak?
        return self._go_on(number, after(self.sagas[number], message["command"], Outcome(message["outcome"])))

    def _go_on(self, number: int, saga: Saga) -> list[Letter]:
        self.sagas[number] = saga
        command = command_of(saga)
        return [letter(command.program, number, command.name)] if command else []

    def phases(self) -> dict[int, Phase]:
        return {number: saga.phase for number, saga in self.sagas.items()}


class Support(Program):
    """The people who look at dead letters."""

    name = "support"

    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        self.database.note(message["order"], message["command"], message["why"])
        return []

    def letters(self) -> list[tuple[int, str]]:
        """Return what they have on the table: an order's number, and what could not be done to it."""
        rows = self.database.execute("SELECT number, step FROM work ORDER BY number")
        return [(number, step) for number, step in rows]
