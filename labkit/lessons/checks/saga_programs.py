"""The shop's programs with the learner's function inside, for the checks of lesson 06; they can die."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from sqlite3 import Cursor
from typing import Any

from labkit.brokers.delivery import Delivery
from labkit.patterns.saga import CrashPoint, Orchestrator, Outcome, Payment, Phase, Saga
from labkit.patterns.saga.database import Database, Letter
from labkit.patterns.saga.program import letter
from labkit.patterns.saga.services import ORDERS
from labkit.patterns.saga.steps import STEPS, after

__all__ = ["LearnersPayment", "charging_with", "taking_with", "undoing_with"]

Handler = Callable[..., Any]


class LearnersPayment(Payment):
    """Payment, with a function of the learner's. ``handled`` counts how often that came to its end."""

    handled = 0

    async def _call(self, function: Handler, *values: Any) -> None:
        result = function(self.database, *values)
        if inspect.isawaitable(result):
            await result
        self.handled += 1
        self._has_letters.set()


def taking_with(take: Handler) -> type[LearnersPayment]:
    """Return payment whose every message is taken by ``take(database, message, work)``.

    It dies at the end of the work on the message that the shop's crash point names.
    """

    class Taking(LearnersPayment):
        async def take(self, delivery: Delivery) -> None:
            message = delivery.value

            def work() -> None:
                self.database.send(self.decide(message))
                _die_once(self.world.crash_point, message["id"])

            await self._call(take, message, work)

    return Taking


def charging_with(charge: Handler) -> type[LearnersPayment]:
    """Return payment that charges by ``charge(database, message, event)``; it dies after a first commit."""

    class Charging(LearnersPayment):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.database.close()
            self.database = self.mortal = _MortalDatabase(given[0] / f"{self.name}.db")

        async def take(self, delivery: Delivery) -> None:
            message = delivery.value
            if message["command"] != "charge":
                return await super().take(delivery)
            event = letter(ORDERS, message["order"], "charge", Outcome.DONE)
            self.mortal.crash_point = self.world.crash_point
            await self._call(charge, message, event)
            self.mortal.crash_point = None
            return None

    return Charging


class _MortalDatabase(Database):
    """A database whose program dies once, right after its first commit while there is a crash point."""

    crash_point: CrashPoint | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
        self._committed()

    def execute(self, command: str, *values: Any) -> Cursor:
        cursor = super().execute(command, *values)
        if not self._db.in_transaction and not command.lstrip().upper().startswith("SELECT"):
            self._committed()  # without a transaction, each command is one of its own
        return cursor

    def _committed(self) -> None:
        crash, self.crash_point = self.crash_point, None
        if crash is not None:
            _die_once(crash, crash.where[-1])


def _die_once(crash: CrashPoint | None, message_id: str) -> None:
    if crash is not None and crash.where[-1] == message_id and not crash.reached.is_set():
        crash.reached.set()
        raise asyncio.CancelledError("the program died here")


def undoing_with(undo: Handler) -> type[Orchestrator]:
    """Return an orchestrator that compensates what ``undo(history)`` says, one after another."""

    class Undoing(Orchestrator):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.history: dict[int, list[tuple[str, str]]] = {}
            self.to_undo: dict[int, list[str]] = {}

        def decide(self, message: Mapping[str, Any]) -> list[Letter]:
            number, command, outcome = message["order"], message["command"], Outcome(message["outcome"])
            saga = self.saga_of(number) or Saga()
            if saga.phase is not Phase.RUNNING:
                return self._undo_next(number) if command.startswith("un") else []
            self.history.setdefault(number, []).append((command, str(outcome)))
            if outcome is Outcome.DONE:
                return self._go_on(number, after(saga, command, outcome))
            return self._begin_to_undo(number)

        def _give_up_or_ask_again(self, number: int) -> None:
            saga = self.saga_of(number) or Saga()
            if saga.phase is Phase.RUNNING:
                self.history.setdefault(number, []).append((STEPS[saga.at].name, "no reply"))
                with self.database.transaction():
                    self.database.send(self._begin_to_undo(number))
                self._has_letters.set()

        def _begin_to_undo(self, number: int) -> list[Letter]:
            self.to_undo[number] = list(undo(list(self.history[number])))
            return self._undo_next(number)

        def _undo_next(self, number: int) -> list[Letter]:
            if not self.to_undo[number]:
                self.keep(number, Saga(Phase.COMPENSATED))
                return []
            self.keep(number, Saga(Phase.COMPENSATING))
            command = self.to_undo[number].pop(0)
            return [letter(_program_of(command), number, command)]

    return Undoing


def _program_of(command: str) -> str:
    for step in STEPS:
        if command and command == step.undo:
            return step.program
    raise ValueError(f"no step is compensated by {command!r}")
