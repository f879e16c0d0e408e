"""The three programs that do the work: stock, payment and shipping. Each step moves an amount."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from labkit.patterns.saga.books import PRICE, require_sum
from labkit.patterns.saga.database import Letter
from labkit.patterns.saga.program import Program, Trouble, letter
from labkit.patterns.saga.steps import STEPS, Outcome, reaction_to

__all__ = ["EVENTS", "ORDERS", "SERVICES", "Move", "Payment", "Service", "Shipping", "Stock"]

EVENTS = "events"
"""The address of everything that happened; who listens to it takes part in a choreography."""

ORDERS = "orders"
"""The address of the orchestrator, which gets the replies."""

UNDOES = {step.undo: step.name for step in STEPS if step.undo}


class Move(NamedTuple):
    """What a step moves: from where ("" takes from nowhere), to where, how much."""

    source: str
    target: str
    amount: int


class Service(Program):
    """A program that does what it is told, or what follows from an event, and says what became of it."""

    moves: ClassVar[Mapping[str, Move]]
    conserved: ClassVar[str] = ""
    """What the sum of its amounts is called, if it never changes."""

    def begin(self, amounts: Mapping[str, int]) -> None:
        """Set what there is at the start, unless an earlier run did, and check its sum from now on."""
        self.database.begin(amounts)
        if self.conserved:
            whole = sum(amounts.values())
            self.database.checks.append(
                lambda: require_sum(self.conserved, self.database.amounts(), whole),
            )

    def asked(self, message: Mapping[str, Any]) -> str:
        """Return the command that this message asks of this program, or ""."""
        if "outcome" not in message:
            return str(message["command"])
        reaction = reaction_to(message["command"], Outcome(message["outcome"]))
        return reaction.name if reaction is not None and reaction.program == self.name else ""

    async def work(self, message: Mapping[str, Any]) -> None:
        command = self.asked(message)
        await asyncio.sleep(self.world.service_time.get(command, 0.0))
        if self.world.trouble.get(command, 0) > 0:
            self.world.trouble[command] -= 1
            raise Trouble(f"{self.name} cannot {command} at the moment")

    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        command, number = self.asked(message), message["order"]
        if not command:
            return []
        refused = self.undo(command, number) if command in UNDOES else self.do(command, number)
        outcome = Outcome.REFUSED if refused else Outcome.DONE
        return [self._answer(number, command, outcome, refused)]

    def give_up(self, message: Mapping[str, Any], why: str) -> list[Letter]:
        command, number = self.asked(message), message["order"]
        return [*super().give_up(message, why), self._answer(number, command, Outcome.GAVE_UP, why)]

    def _answer(self, number: int, command: str, outcome: Outcome, why: str) -> Letter:
        return letter(EVENTS if self.address == EVENTS else ORDERS, number, command, outcome, why)

    def do(self, command: str, number: int) -> str:
        """Take a step; return why it is refused, or ""."""
        if self.database.state_of(number, command) == "undone":
            return "it came too late: this step was compensated before"
        refused = self.refusal(command, number)
        if not refused:
            self._move(self.moves[command])
            self.database.note(number, command, "done")
        return refused

    def refusal(self, command: str, number: int) -> str:
        """Return why a step cannot be taken, or ""."""
        source, _, amount = self.moves[command]
        enough = not source or self.database.amounts()[source] >= amount
        return "" if enough else f"there is not enough {source!r}"

    def undo(self, command: str, number: int) -> str:
        """Compensate a step. What was not done is noted, so that it is refused if it is still to come."""
        step = UNDOES[command]
        if self.database.state_of(number, step) == "done":
            source, target, amount = self.moves[step]
            self._move(Move(target, source, amount))
        self.database.note(number, step, "undone")
        return ""

    def _move(self, move: Move) -> None:
        if move.source:
            self.database.add(move.source, -move.amount)
        self.database.add(move.target, move.amount)


class Stock(Service):
    """Has the things: free, reserved for an order, or sold."""

    name = "stock"
    conserved = "Stock"
    moves = {"reserve": Move("free", "reserved", 1), "pack": Move("reserved", "sold", 1)}  # noqa: RUF012


class Payment(Service):
    """Has the money: the customers', what is held for an order, and the shop's."""

    name = "payment"
    conserved = "Money"
    moves = {"hold": Move("customer", "held", PRICE), "charge": Move("held", "shop", PRICE)}  # noqa: RUF012

    def refusal(self, command: str, number: int) -> str:
        if command == "charge" and self.world.declines(number):
            return "the card was declined"
        return super().refusal(command, number)


class Shipping(Service):
    """Ships, and counts what it shipped."""

    name = "shipping"
    moves = {"ship": Move("", "shipped", 1)}  # noqa: RUF012


SERVICES: tuple[type[Service], ...] = (Stock, Payment, Shipping)
