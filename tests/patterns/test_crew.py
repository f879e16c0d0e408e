"""The crew of lesson 03: the sliders' functions, on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from labkit.brokers.nats.client import NatsClient
from labkit.lessons.workers import Crew, jobs
from labkit.patterns.work_queue import NatsWork
from labkit.servers import Fleet
from tests.support import unique

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def queue(fleet: Fleet) -> AsyncIterator[NatsWork]:
    server = await fleet.start("nats")
    async with NatsClient(server.url) as client:
        queue = await NatsWork(client, unique("invoices")).open()
        yield queue
        await queue.close()


async def test_a_crew_grows_and_shrinks(queue: NatsWork) -> None:
    crew = Crew([queue])
    for size in (3, 1, 2):
        await crew.set_size(size)
        assert [name for name, one in queue.workers.items() if one.is_open] == list(Crew.NAMES[:size])
    await queue.submit_all(jobs(5))
    await queue.until_done(5)
    assert sum(crew.done_by("nats").values()) == 5


async def test_a_crew_that_is_told_to_hold_more_goes_on_with_its_counts(queue: NatsWork) -> None:
    crew = Crew([queue])
    await crew.set_size(1)
    await queue.submit_all(jobs(3))
    await queue.until_done(3)
    await crew.set_prefetch(10)
    await queue.submit_all(jobs(3, first=4))
    await queue.until_done(6)
    assert crew.done_by("nats") == {"ann": 6}


async def test_a_crew_that_is_told_to_be_slow_is_slow_at_once_and_quick_again(queue: NatsWork) -> None:
    crew = Crew([queue])
    await crew.set_size(1)
    crew.set_service(3600.0)
    await queue.submit_all(jobs(2))
    await queue.until(lambda: queue.workers["ann"].busy_with)
    crew.set_service(0.0)
    assert await queue.until_done(2) == {1, 2}
