"""What lesson 03 does to workers: one dies, one is slow, and one gets a job that nobody can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.patterns.traffic import make_order
from labkit.patterns.work_queue import Acknowledge, Job, WorkQueue

__all__ = ["Crew", "Poisoned", "Shared", "beside_a_slow_worker", "die_over_a_job", "jobs", "meet_poison"]

FOR_EVER = 3600.0
"""Seconds that a job takes in a worker that dies over it, or is stuck. Nobody waits for it."""

ENOUGH = 6
"""How often a job is to fail until it is clear that there is no end to it."""


def jobs(count: int, first: int = 1) -> list[Job]:
    """Return ``count`` orders that need an invoice, numbered from ``first``."""
    return [make_order(number) for number in range(first, first + count)]


async def die_over_a_job(queue: WorkQueue[Any], acknowledge: Acknowledge, count: int = 10) -> list[int]:
    """Have Ann die in the middle of the first of ``count`` jobs, and Ben do what the broker still has.

    Returns the order numbers of the invoices that were rendered.
    """
    await queue.submit_all(jobs(count))
    ann = await queue.worker("ann", service=FOR_EVER, acknowledge=acknowledge)
    await queue.until(lambda: ann.busy_with)
    await ann.crash()
    await queue.worker("ben", acknowledge=acknowledge)
    await queue.until_done(count if acknowledge == "after" else count - 1)
    await queue.until_nothing_waits()
    await queue.close()
    return sorted(queue.done)


@dataclass(frozen=True, slots=True)
class Shared:
    """How many jobs Ben could do while Ann was stuck, and in the end how many were done."""

    meanwhile: int
    in_the_end: int


async def beside_a_slow_worker(queue: WorkQueue[Any], prefetch: int, count: int = 20) -> Shared:
    """Have Ann be stuck over her first job, holding as many as she prefetches, while Ben does the others."""
    await queue.submit_all(jobs(count))
    ann = await queue.worker("ann", prefetch=prefetch, service=FOR_EVER)
    await queue.until(lambda: ann.busy_with)
    ben = await queue.worker("ben", prefetch=1)
    held = count // queue.most_workers if queue.no_fair_dispatch else prefetch
    await queue.until(lambda: len(ben.done) >= count - held)
    meanwhile = len(ben.done)
    ann.service = 0.0
    await queue.until_done(count)
    await queue.close()
    return Shared(meanwhile, len(queue.done))


@dataclass(frozen=True, slots=True)
class Poisoned:
    """How often a job failed that nobody can do, how many others were done meanwhile, and what lies aside."""

    failed: int
    done: int
    aside: list[int]


async def meet_poison(queue: WorkQueue[Any], others: int = 4) -> Poisoned:
    """Give one worker a job that nobody can do, and ``others`` behind it.

    With a limit, it waits until the job is put aside and the others are done. Without one, until the job
    has failed six times, and until the others are done where it does not stand in their way.
    """
    poison = {"order": 1, "item": "tea"}  # no amount: nobody can render that
    await queue.submit_all([poison, *jobs(others, first=2)])
    worker = await queue.worker("ann")
    if queue.attempts is None:
        await queue.until(lambda: len(worker.failed) >= ENOUGH)
        aside: list[Job] = []
    else:
        aside = await queue.until_aside()
    if queue.attempts is not None or not queue.no_fair_dispatch:
        await queue.until_done(others)
    poisoned = Poisoned(len(worker.failed), len(worker.done), [job["order"] for job in aside])
    await queue.close()
    return poisoned


class Crew:
    """The same workers on every broker, with sliders: how many, how slow, and how many jobs each holds."""

    NAMES = ("ann", "ben", "cem", "dora")

    def __init__(self, queues: Iterable[WorkQueue[Any]]) -> None:
        self.queues = list(queues)
        self.size = 0
        self.service = 0.0
        self.prefetch = 1

    async def set_size(self, size: int) -> None:
        """Have ``size`` workers on each broker: new ones come, or the last ones leave."""
        for queue in self.queues:
            for name in self.NAMES[self.size : size]:
                await queue.worker(name, prefetch=self.prefetch, service=self.service)
            for name in self.NAMES[size : self.size]:
                await queue.workers[name].stop()
        self.size = size

    def set_service(self, seconds: float) -> None:
        """Have a job take so many seconds, also one that is worked on now."""
        self.service = seconds
        for queue in self.queues:
            for worker in queue.workers.values():
                worker.service = seconds

    async def set_prefetch(self, prefetch: int) -> None:
        """Have each worker hold up to so many jobs: all leave, and come back with that."""
        self.prefetch = prefetch
        size = self.size
        await self.set_size(0)
        await self.set_size(size)

    def done_by(self, broker: str) -> Mapping[str, int]:
        """Return how many jobs each worker of a broker has done."""
        (queue,) = [one for one in self.queues if one.broker == broker]
        return {name: len(worker.done) for name, worker in queue.workers.items()}
