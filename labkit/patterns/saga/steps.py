"""What comes next, and what is undone: the saga's decisions, as plain functions without any I/O.

The orchestrator asks them about the orders it keeps. In a choreography every program asks them about the
event it just heard. Both follow the same plan, so both do the same to an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "FINISHED",
    "PIVOT",
    "PLACED",
    "STEPS",
    "Command",
    "Outcome",
    "Phase",
    "Saga",
    "Step",
    "after",
    "after_deadline",
    "command_of",
    "expecting",
    "reaction_to",
]


class Outcome(StrEnum):
    """What became of a command."""

    DONE = "done"
    REFUSED = "refused"  # nothing was changed, and asking again would not help
    GAVE_UP = "gave up"  # nothing was changed: it failed too often, and is in the dead letters


class Phase(StrEnum):
    """Where an order is on the whole."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    STUCK = "stuck"  # a person has to look at its dead letter


FINISHED = (Phase.COMPLETED, Phase.COMPENSATED, Phase.STUCK)


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done next, and by which program."""

    program: str
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order. ``undo`` compensates it; from the pivot on there is no such thing."""

    name: str
    program: str
    undo: str = ""


STEPS = (
    Step("reserve", "stock", undo="unreserve"),
    Step("hold", "payment", undo="unhold"),
    Step("charge", "payment"),  # the pivot
    Step("pack", "stock"),
    Step("ship", "shipping"),
)

PIVOT = 2
"""The place in ``STEPS`` of the point of no return. What comes after it is retried until it is done."""

PLACED = "place"
"""What the shop announces in a choreography, so that the first step is taken."""


@dataclass(frozen=True, slots=True)
class Saga:
    """One order: ``at`` is the place in ``STEPS`` of what it waits for, to be done or to be undone."""

    phase: Phase = Phase.RUNNING
    at: int = 0


def command_of(saga: Saga) -> Command | None:
    """Return what this order waits for; None if it is finished."""
    if saga.phase in FINISHED:
        return None
    step = STEPS[saga.at]
    return Command(step.program, step.name if saga.phase is Phase.RUNNING else step.undo)


def after(saga: Saga, command: str, outcome: Outcome) -> Saga:
    """Return the order as it is after this reply; unchanged if that is not what it waits for.

    So a reply that comes twice, or too late, changes nothing.
    """
    waits_for = command_of(saga)
    if waits_for is None or waits_for.name != command:
        return saga
    if saga.phase is Phase.COMPENSATING:
        return _undoing(saga.at - 1) if outcome is Outcome.DONE else Saga(Phase.STUCK, saga.at)
    if outcome is Outcome.DONE:
        is_last = saga.at == len(STEPS) - 1
        return Saga(Phase.COMPLETED, saga.at) if is_last else Saga(Phase.RUNNING, saga.at + 1)
    if saga.at <= PIVOT:
        return _undoing(saga.at - 1)
    return Saga(Phase.STUCK, saga.at)


def after_deadline(saga: Saga) -> Saga:
    """Return the order as it is when no reply came in time; unchanged where it can only be asked again.

    Before the pivot the order is given up. Nobody knows whether the silent step was done, so it is undone,
    too. From the pivot on the money may be gone, so nothing is undone.
    """
    is_before_pivot = saga.phase is Phase.RUNNING and saga.at < PIVOT
    return _undoing(saga.at) if is_before_pivot else saga


def reaction_to(command: str, outcome: Outcome) -> Command | None:
    """Return what somebody has to do when this event is heard; None if nobody has to do anything."""
    if command == PLACED:
        return command_of(Saga())
    return command_of(after(expecting(command), command, outcome))


def expecting(command: str) -> Saga:
    """Return an order that waits for this command. Raises ``ValueError`` if no step is called so."""
    for place, step in enumerate(STEPS):
        if command in (step.name, step.undo):
            return Saga(Phase.RUNNING if command == step.name else Phase.COMPENSATING, place)
    raise ValueError(f"no step of an order is called {command!r}")


def _undoing(place: int) -> Saga:
    """Return an order that undoes the step at this place, and then those before it."""
    return Saga(Phase.COMPENSATING, place) if place >= 0 else Saga(Phase.COMPENSATED)
