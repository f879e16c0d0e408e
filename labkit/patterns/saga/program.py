"""One program of the shop: takes a message once, and publishes what follows from it, whenever it dies."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError
from labkit.patterns.saga.database import Database, Letter
from labkit.patterns.saga.steps import Outcome
from labkit.patterns.saga.transport import Transport

__all__ = ["DEAD_LETTERS", "MOST_ATTEMPTS", "CrashPoint", "Program", "Trouble", "World", "letter"]

DEAD_LETTERS = "dead"
"""The address of what nobody could work on."""

MOST_ATTEMPTS = 3
"""How often the work on one message may fail before it goes to the dead letters."""

PAUSE_SECONDS = 0.02
"""Between two attempts. A real program would wait longer each time."""

BROKER_AWAY_SECONDS = 0.2


class Trouble(Exception):
    """The work on a message failed for now; it may succeed if it is tried again."""


class CrashPoint:
    """Where a program dies: when a message ("1:hold") was "received", "committed" or "published" by it.

    It stops there for good, the first time it comes past. Whoever waits for ``reached`` throws it away.
    """

    def __init__(self, program: str, point: str, message_id: str) -> None:
        self.where = (program, point, message_id)
        self.reached = asyncio.Event()

    async def visit(self, program: str, point: str, message_id: str) -> None:
        """Come past a point; never returns if it is the one to die at."""
        if (program, point, message_id) == self.where and not self.reached.is_set():
            self.reached.set()
            await asyncio.Event().wait()


def always(number: int) -> bool:
    """Accept every card."""
    return False


@dataclass
class World:
    """What the shop's programs meet: may be changed while they run.

    ``service_time`` is seconds of work by command; ``trouble`` is how often a command fails before it
    succeeds; ``declines`` says of an order's number whether its card is declined when it is charged.
    ``deadline`` is how many seconds the orchestrator waits for a reply.
    """

    service_time: dict[str, float] = field(default_factory=dict)
    trouble: dict[str, int] = field(default_factory=dict)
    declines: Callable[[int], bool] = always
    deadline: float = 30.0
    crash_point: CrashPoint | None = None

    def slow_down(self, seconds: float) -> None:
        """Let payment take so long to hold money."""
        self.service_time["hold"] = seconds

    def set_deadline(self, seconds: float) -> None:
        """Let the orchestrator wait so long for a reply; it counts for orders on their way, too."""
        self.deadline = seconds

    def decline(self, percent: float) -> None:
        """Decline so many of every hundred cards, in steps of ten; of the same orders each time."""
        self.declines = lambda number: number * 7 % 10 < percent / 10


def letter(address: str, number: int, command: str, outcome: Outcome | None = None, why: str = "") -> Letter:
    """Return a command, or with an outcome an event: what became of it. Its id is always the same."""
    words = [str(number), command, *([outcome] if outcome else [])]
    message = {"id": ":".join(words), "order": number, "command": command}
    return Letter(address, {**message, "outcome": outcome, "why": why} if outcome else message)


class Program(ABC):
    """A program with a database, an inbox and an outbox.

    ``has_inbox`` and ``has_outbox`` can be turned off to see what they are for. ``duplicates`` counts
    messages that the inbox knew, ``received`` all that came.
    """

    name: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        transport: Transport[Any],
        address: str,
        world: World,
        *,
        has_inbox: bool = True,
        has_outbox: bool = True,
    ) -> None:
        self.transport = transport
        self.address = address
        self.world = world
        self.has_inbox = has_inbox
        self.has_outbox = has_outbox
        self.received = 0
        self.duplicates = 0
        self.is_open = True
        self.database = Database(folder / f"{self.name}.db")
        self.subscription: Subscription[Any]
        self._has_letters = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    def decide(self, message: Mapping[str, Any]) -> list[Letter]:
        """Change the database as the message asks, and return what follows. Inside a transaction."""

    def give_up(self, message: Mapping[str, Any], why: str) -> list[Letter]:
        """Return what is sent when the work on a message failed too often."""
        return [Letter(DEAD_LETTERS, {**message, "why": why})]

    async def open(self) -> None:
        """Begin to listen, and to publish what an earlier run left in the outbox."""
        self.subscription = await self.transport.listen(self.name, self.address)
        await self.subscription.open()
        self.subscription.run(self.take)
        self._start(self._relay())

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"{self.name} of {self.transport.name}"))

    async def take(self, delivery: Delivery) -> None:
        """Work on one delivery. The broker gets its acknowledgement when this returns."""
        message = delivery.value
        self.received += 1
        await self.come_past("received", message)
        if self.has_inbox and self.database.knows(message["id"]):
            self.duplicates += 1
            return
        why = await self._work_patiently(message)
        letters: list[Letter] = []
        with self.database.transaction():
            if self.has_inbox and not self.database.is_new(message["id"]):
                return
            letters = self.give_up(message, why) if why else self.decide(message)
            if self.has_outbox:
                self.database.send(letters)
        await self.come_past("committed", message)
        await self._pass_on(letters)

    async def _pass_on(self, letters: list[Letter]) -> None:
        if self.has_outbox:
            self._has_letters.set()
            return
        for address, message in letters:  # a crash before this line loses them for ever
            await self.transport.send(address, message, self.name)

    async def _work_patiently(self, message: Mapping[str, Any]) -> str:
        """Do the work that takes time, again if it fails; return why it was given up, or ""."""
        while True:
            try:
                await self.work(message)
                return ""
            except Trouble as trouble:
                if self.database.count_attempt(message["id"]) >= MOST_ATTEMPTS:
                    return str(trouble)
                await asyncio.sleep(PAUSE_SECONDS)

    async def work(self, message: Mapping[str, Any]) -> None:  # noqa: B027  # most have nothing to do here
        """Do what takes time and may fail, before anything is changed. Raises ``Trouble``."""

    async def _relay(self) -> None:
        """Publish what the outbox has, at least once: what is not marked as sent is sent again."""
        while True:
            self._has_letters.clear()
            for row in self.database.unsent():
                await self._send(row.letter)
                await self.come_past("published", row.letter.message)
                self.database.mark_sent(row.n)
            await self._has_letters.wait()

    async def _send(self, letter: Letter) -> None:
        while True:
            try:
                return await self.transport.send(letter.address, letter.message, self.name)
            except BrokerError:  # it may have it or not: sent again, and the inbox there sorts it out
                await asyncio.sleep(BROKER_AWAY_SECONDS)

    async def come_past(self, point: str, message: Mapping[str, Any]) -> None:
        """Come past a place where a program may die."""
        if self.world.crash_point is not None:
            await self.world.crash_point.visit(self.name, point, message["id"])

    def raise_error(self) -> None:
        """Raise what ended one of this program's tasks, if something did."""
        if self.subscription.error is not None:
            raise self.subscription.error
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def kill(self) -> None:
        """End as a program that is killed: nothing is finished, said or acknowledged; its database stays."""
        self.is_open = False
        await self._end_tasks()
        await self.transport.kill(self.subscription)
        self.database.close()

    async def close(self) -> None:
        """End in good order. Raises what the work on a message raised."""
        self.is_open = False
        await self._end_tasks()
        error = await self.subscription.shut()
        self.database.close()
        if error is not None:
            raise error

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address!r}>"
