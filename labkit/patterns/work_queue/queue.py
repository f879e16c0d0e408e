"""What a work queue is on any broker: jobs go to one worker each, and what nobody can do is put aside."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.subscription import Subscription
from labkit.errors import LabError
from labkit.patterns.work_queue.worker import Acknowledge, Job, Work, Worker, render
from labkit.topology import Lane, LaneQueue

__all__ = ["Depth", "WorkQueue"]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)

ATTEMPTS = 3
PATIENCE_SECONDS = 1.0
WAIT_SECONDS = 30.0
"""The longest to wait for jobs that should be done; a worker's death takes some."""


class Depth(NamedTuple):
    """How many jobs the broker has. ``None`` where it does not tell."""

    waiting: int | None
    """Not handed to any worker yet; with Kafka, not acknowledged yet: it knows a position, no jobs."""
    handed_out: int | None
    """Handed to a worker, and not acknowledged."""


class WorkQueue(ABC, Generic[AnyClient]):
    """Jobs on one broker, shared by workers. A recipe below says how that broker does it.

    A job that failed ``attempts`` times is put aside (None: it is tried for ever). A worker that is silent
    for ``patience`` seconds over a job counts as dead; RabbitMQ needs no such time. ``most_workers`` is how
    many can work at once on Kafka; the others know no such limit.
    """

    native: ClassVar[str]
    """The broker's own things that the recipe uses."""
    built: ClassVar[str]
    """What the recipe had to build, because the broker has no such thing."""
    no_fair_dispatch: ClassVar[str] = ""
    """Why a slow worker holds up jobs that others could do; empty where it need not."""
    confirms: ClassVar[bool] = True
    """Whether the broker answers each job."""

    def __init__(
        self,
        client: AnyClient,
        name: str = "invoices",
        *,
        attempts: int | None = ATTEMPTS,
        patience: float = PATIENCE_SECONDS,
        most_workers: int = 2,
    ) -> None:
        self.client = client
        self.name = name
        self.attempts = attempts
        self.patience = patience
        self.most_workers = most_workers
        self.workers: dict[str, Worker] = {}
        self._changed = asyncio.Event()

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.client.broker

    # What each recipe says in its broker's words.

    @property
    @abstractmethod
    def channel(self) -> Channel:
        """The broker's own channel that carries the jobs."""

    @abstractmethod
    async def open(self) -> Self:
        """Make the queue and its place for dead letters. Raises ``BrokerError``."""

    @abstractmethod
    async def submit(self, job: Job) -> None:
        """Hand in a job; returns when the broker has it. Raises ``PublishFailed``."""

    @abstractmethod
    def listen(self, name: str, prefetch: int) -> Subscription[Any]:
        """Return a worker's subscription, not yet open, that holds up to ``prefetch`` jobs at once."""

    async def accept(self, delivery: Any) -> bool:
        """Return whether to work on a job; False if it was handed out too often, and is now aside."""
        return True

    async def keep(self, delivery: Any) -> None:
        """Tell the broker that a job is still worked on, where it would think otherwise."""

    @abstractmethod
    async def give_back(self, delivery: Any) -> None:
        """Tell the broker that a job failed: it comes again, or is put aside."""

    @abstractmethod
    async def crash(self, subscription: Any) -> None:
        """End a worker's subscription as the death of its program does: the broker is told nothing."""

    @abstractmethod
    async def depth(self) -> Depth:
        """Ask the broker how many jobs it has."""

    @abstractmethod
    async def aside(self) -> int:
        """Ask the broker how many jobs were put aside."""

    @abstractmethod
    async def dead_letters(self) -> list[Job]:
        """Return the jobs that were put aside. They stay there."""

    # What all share.

    async def worker(
        self,
        name: str,
        *,
        prefetch: int = 1,
        service: float = 0.0,
        acknowledge: Acknowledge = "after",
        work: Work = render,
        start: bool = True,
    ) -> Worker:
        """Add a worker, or have one come back that stopped or crashed; returns when the broker knows.

        It takes up to ``prefetch`` jobs at a time, which means nothing to Kafka: see ``no_fair_dispatch``.
        A job takes ``service`` seconds. With ``acknowledge="before"`` a job is acknowledged when it is taken.
        Without ``start`` it waits for ``worker.start()``.
        """
        worker = Worker(
            self,
            name,
            self.listen(name, prefetch),
            service=service,
            acknowledge=acknowledge,
            work=work,
        )
        if name in self.workers:
            self._remember(self.workers[name], worker)
        self.workers[name] = worker
        await worker.open()
        return worker.start() if start else worker

    def _remember(self, before: Worker, now: Worker) -> None:
        now.started, now.done, now.failed = before.started, before.done, before.failed

    @property
    def done(self) -> set[int]:
        """The order numbers of the jobs that were done at least once, by whomever."""
        return {number for worker in self.workers.values() for number in worker.done}

    @property
    def times_done(self) -> dict[int, int]:
        """How often each job was done, by order number."""
        numbers = sorted(number for worker in self.workers.values() for number in worker.done)
        return {number: len(list(group)) for number, group in itertools.groupby(numbers)}

    async def publish(self, event: str, job: Job) -> None:
        """Do ``submit(job)``; for ``Traffic``, which tells what happened to each order."""
        await self.submit(job)

    async def submit_all(self, jobs: Iterable[Job]) -> None:
        """Hand in jobs one after another."""
        for job in jobs:
            await self.submit(job)

    def note(self) -> None:
        """Have whoever waits for workers look again."""
        self._changed.set()

    async def until(self, condition: Callable[[], object], what: str = "its workers") -> None:
        """Wait until something holds of the workers. Raises ``LabError`` after 30 seconds."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise LabError(
                f"{self.name} waited {WAIT_SECONDS:g} s for {what}; done are {len(self.done)} jobs.",
                broker=self.broker,
                remedy="check that the broker runs, that jobs were submitted, and that a worker is there",
            ) from error

    async def until_done(self, count: int) -> set[int]:
        """Wait until so many different jobs were done, and return their order numbers."""
        await self.until(lambda: len(self.done) >= count, f"{count} jobs to be done")
        return self.done

    async def until_nothing_waits(self) -> None:
        """Wait until the broker has no job any more, as far as it tells. Raises ``LabError`` likewise."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while any(await self.depth()):  # noqa: ASYNC110  # brokers tell nobody
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise LabError(
                f"{self.name} waited {WAIT_SECONDS:g} s for its last jobs: {await self.depth()}.",
                broker=self.broker,
                remedy="check that a worker is there, and that it acknowledges",
            ) from error

    async def until_aside(self, count: int = 1) -> list[Job]:
        """Wait until so many jobs were put aside, and return them. Raises ``LabError`` likewise."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while await self.aside() < count:  # noqa: ASYNC110  # brokers tell nobody
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise LabError(
                f"{self.name} waited {WAIT_SECONDS:g} s for {count} jobs to be put aside.",
                broker=self.broker,
                remedy="check that a worker is there, that it fails on them, and that attempts is not None",
            ) from error
        return await self.dead_letters()

    async def lane(self) -> Lane:
        """Return this broker's row for the live picture: all workers behind one queue, with its depth."""
        lane = Lane.of(self.channel, *self.workers.values())
        queue = LaneQueue(self.name, self._waiting)
        return dataclasses.replace(
            lane, subscribers=tuple(dataclasses.replace(one, queue=queue) for one in lane.subscribers)
        )

    async def _waiting(self) -> int:
        return (await self.depth()).waiting or 0

    async def close(self) -> None:
        """Stop every worker."""
        for worker in self.workers.values():
            await worker.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {', '.join(self.workers) or 'no workers'}>"
