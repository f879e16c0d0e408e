"""A worker: somebody who takes jobs from a work queue, one after another, and may crash over one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Self

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError

if TYPE_CHECKING:
    from labkit.patterns.work_queue.queue import WorkQueue

__all__ = ["Acknowledge", "Job", "Work", "Worker", "render"]

Job = Mapping[str, Any]
Work = Callable[[Job], None]
Acknowledge = Literal["after", "before"]
"""When a worker tells the broker that a job is done: after the work, or before it has begun."""


def render(job: Job) -> None:
    """Render the invoice of an order. Raises ``ValueError`` for one without an amount: nobody can."""
    if not job.get("amount"):
        raise ValueError(f"order {job['order']} has no amount")


class Worker:
    """Somebody who works on a queue's jobs.

    ``started``, ``done`` and ``failed`` hold order numbers, oldest first; ``busy_with`` is the one that is
    worked on now. Work takes ``service`` seconds, which stands for what a real worker does. Make one with
    ``queue.worker(...)``.
    """

    def __init__(
        self,
        queue: WorkQueue[Any],
        name: str,
        subscription: Subscription[Any],
        *,
        service: float,
        acknowledge: Acknowledge,
        work: Work,
    ) -> None:
        self.queue = queue
        self.name = name
        self.subscription = subscription
        self.acknowledge = acknowledge
        self.started: list[int] = []
        self.done: list[int] = []
        self.failed: list[int] = []
        self.busy_with: int | None = None
        self._work = work
        self._service = service
        self._service_changed = asyncio.Event()

    @property
    def service(self) -> float:
        """Seconds that a job takes. A change holds for the job that is worked on, too."""
        return self._service

    @service.setter
    def service(self, seconds: float) -> None:
        self._service = seconds
        self._service_changed.set()

    @property
    def is_open(self) -> bool:
        """Whether it takes part: neither stopped nor crashed."""
        return self.subscription.is_open

    async def open(self) -> Self:
        """Join the other workers; returns when the broker knows. It takes no job before ``start``."""
        await self.subscription.open()
        return self

    def start(self) -> Self:
        """Take jobs from now on."""
        self.subscription.run(self._handle)
        return self

    async def stop(self) -> None:
        """Leave, as a program that is told to end: what it had not done goes to others at once."""
        await self.subscription.close()
        self._rest()

    async def crash(self) -> None:
        """Die as a killed program does: in the middle of a job, with nothing acknowledged or given back."""
        await self.queue.crash(self.subscription)
        self._rest()

    async def _handle(self, delivery: OpenDelivery) -> None:
        """Work on one job. The subscription acknowledges it when this returns, unless it is settled."""
        if not await self.queue.accept(delivery):
            return
        job: Job = delivery.value
        if self.acknowledge == "before":
            await delivery.ack()
        self.busy_with = job["order"]
        self.started.append(job["order"])
        self.queue.note()
        try:
            await self._work_on(job, delivery)
        except Exception:  # whatever it is: this job failed, and the worker goes on
            self.failed.append(job["order"])
            if not delivery.is_settled:
                await self.queue.give_back(delivery)
        else:
            self.done.append(job["order"])
        self._rest()

    async def _work_on(self, job: Job, delivery: OpenDelivery) -> None:
        heart = asyncio.create_task(self._beat(delivery), name=f"heartbeat of {self.name}")
        try:
            await self._wait_out()
            self._work(job)
        finally:
            heart.cancel()

    async def _wait_out(self) -> None:
        begun = monotonic()
        while (left := begun + self._service - monotonic()) > 0:
            self._service_changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._service_changed.wait()

    async def _beat(self, delivery: OpenDelivery) -> None:
        """Tell the broker again and again that this job is worked on, so that nobody else gets it."""
        while not delivery.is_settled:
            await asyncio.sleep(self.queue.patience / 3)
            with suppress(BrokerError):  # a broker that is gone hears it when it is back
                await self.queue.keep(delivery)

    def _rest(self) -> None:
        self.busy_with = None
        self.queue.note()

    def __repr__(self) -> str:
        return f"<{self.name} did {len(self.done)}, failed {len(self.failed)}>"
