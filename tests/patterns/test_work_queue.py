"""Work queues on real brokers: who gets a job, who else if that one dies, and where it ends if nobody can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from labkit.patterns.traffic import make_order
from labkit.patterns.work_queue import RECIPES, Depth, Worker, WorkQueue, open_queues, render
from tests.support import unique, until_told

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOR_EVER = 3600.0
"""Seconds that a job takes in a worker that is to die or to be slow; no test waits for it."""


def jobs(count: int) -> list[dict[str, Any]]:
    return [make_order(number) for number in range(1, count + 1)]


async def queue_on(client: Any, **options: Any) -> WorkQueue[Any]:
    return await RECIPES[client.broker](client, unique("invoices"), **options).open()


@pytest_asyncio.fixture(loop_scope="session")
async def queue(client: Any) -> AsyncIterator[WorkQueue[Any]]:
    queue = await queue_on(client)
    yield queue
    await queue.close()


async def hold_one(queue: WorkQueue[Any], **options: Any) -> Worker:
    """Return a worker that has begun with a job and will not come to its end."""
    worker = await queue.worker("doomed", service=FOR_EVER, **options)
    await queue.until(lambda: worker.busy_with)
    return worker


async def is_empty(queue: WorkQueue[Any]) -> bool:
    """Return whether the broker has no job any more, handed out or not, as far as it tells."""
    depth = await queue.depth()
    return not depth.waiting and not depth.handed_out


async def test_two_workers_share_the_jobs_and_each_job_is_done(queue: WorkQueue[Any]) -> None:
    one, two = [await queue.worker(name, start=False) for name in ("one", "two")]
    await queue.submit_all(jobs(20))
    for worker in (one, two):
        worker.service = FOR_EVER
        worker.start()
    await queue.until(lambda: one.busy_with and two.busy_with)
    assert one.busy_with != two.busy_with
    one.service = two.service = 0.0
    assert await queue.until_done(20) == set(range(1, 21))
    assert not set(one.done) & set(two.done)


async def test_jobs_wait_in_the_queue_until_a_worker_comes(queue: WorkQueue[Any]) -> None:
    await queue.submit_all(jobs(5))
    await until_told(queue.depth, lambda depth: depth.waiting == 5)
    await queue.worker("late")
    await queue.until_done(5)
    await until_told(lambda: is_empty(queue))


async def test_the_depth_tells_what_is_handed_out_where_the_broker_does(queue: WorkQueue[Any]) -> None:
    await queue.submit_all(jobs(5))
    worker = await hold_one(queue)
    wanted = {"nats": Depth(4, 1), "rabbitmq": Depth(4, None), "redis": Depth(4, 1), "kafka": Depth(5, None)}
    await until_told(queue.depth, lambda depth: depth == wanted[queue.broker])
    worker.service = 0.0
    await queue.until_done(5)


async def test_every_job_is_done_though_a_worker_dies_in_the_middle_of_one(queue: WorkQueue[Any]) -> None:
    await queue.submit_all(jobs(10))
    doomed = await hold_one(queue)
    await doomed.crash()
    heir = await queue.worker("heir")
    assert await queue.until_done(10) == set(range(1, 11))
    assert set(doomed.started) <= set(heir.done)


async def test_control_a_worker_that_acknowledges_before_the_work_loses_the_job_it_dies_over(
    queue: WorkQueue[Any],
) -> None:
    await queue.submit_all(jobs(10))
    doomed = await hold_one(queue, acknowledge="before")
    (lost,) = doomed.started
    await doomed.crash()
    await queue.worker("heir", acknowledge="before")
    await queue.until_done(9)
    await until_told(lambda: is_empty(queue))  # nobody will ever bring it
    assert queue.done == set(range(1, 11)) - {lost}


async def test_a_worker_that_is_told_to_stop_leaves_its_job_to_others(queue: WorkQueue[Any]) -> None:
    await queue.submit_all(jobs(4))
    leaving = await hold_one(queue)
    await leaving.stop()
    await queue.worker("other")
    assert await queue.until_done(4) == {1, 2, 3, 4}


async def test_a_job_that_takes_longer_than_the_patience_is_done_once(client: Any) -> None:
    queue = await queue_on(client, patience=1.0)
    slow, other = [await queue.worker(name, start=False) for name in ("slow", "other")]
    slow.service = 1.6  # the worker says meanwhile that it lives
    await queue.submit_all(jobs(2))
    for worker in (slow, other):
        worker.start()
    await queue.until_done(2)
    assert sorted(slow.done + other.done) == [1, 2]
    await queue.close()


@pytest.mark.parametrize(("prefetch", "held"), [(1, 1), (10, 10)], ids=["fair", "greedy"])
async def test_a_slow_worker_keeps_as_many_jobs_from_others_as_its_prefetch(
    client: Any, prefetch: int, held: int
) -> None:
    queue = await queue_on(client, patience=60.0)
    await queue.submit_all(jobs(20))
    slow, fast = [await queue.worker(name, prefetch=prefetch, start=False) for name in ("slow", "fast")]
    slow.service = FOR_EVER
    slow.start()
    await queue.until(lambda: slow.busy_with)
    fast.start()
    if queue.no_fair_dispatch:
        held = 10  # its partition, whatever the prefetch
    await queue.until(lambda: len(fast.done) == 20 - held)
    slow.service = 0.0
    await queue.until_done(20)
    assert len(slow.done) == held
    await queue.close()


async def test_a_job_that_nobody_can_do_is_put_aside_after_three_attempts_and_the_others_are_done(
    queue: WorkQueue[Any],
) -> None:
    poison = {"order": 3, "item": "tea"}
    await queue.submit_all([*jobs(2), poison, *jobs(6)[3:]])
    worker = await queue.worker("worker")
    assert await queue.until_aside() == [poison]
    assert await queue.until_done(5) == {1, 2, 4, 5, 6}
    assert worker.failed == [3, 3, 3]
    await until_told(lambda: is_empty(queue))
    assert await queue.dead_letters() == [poison]  # looking took nothing away


async def test_control_without_a_limit_a_job_that_nobody_can_do_comes_again_and_again(client: Any) -> None:
    queue = await queue_on(client, attempts=None)
    await queue.submit_all([{"order": 1}])
    worker = await queue.worker("worker")
    await queue.until(lambda: len(worker.failed) >= 5)
    assert await queue.aside() == 0
    await queue.close()


async def test_a_job_over_which_every_worker_dies_is_put_aside_too_if_the_broker_counts(client: Any) -> None:
    queue = await queue_on(client, patience=0.6)
    await queue.submit_all(jobs(1))
    for _ in range(3):
        doomed = await hold_one(queue)
        await doomed.crash()
    fourth = await queue.worker("fourth", service=FOR_EVER)
    if client.broker == "kafka":  # there the worker counts, and its count died with it
        await queue.until(lambda: fourth.busy_with)
        assert await queue.aside() == 0
    else:
        assert await queue.until_aside() == jobs(1)
        assert fourth.started == []
    await queue.close()


async def test_a_worker_comes_back_under_its_name_and_its_count_goes_on(queue: WorkQueue[Any]) -> None:
    await queue.worker("ann")
    await queue.submit_all(jobs(2))
    await queue.until_done(2)
    await queue.workers["ann"].crash()
    again = await queue.worker("ann")
    await queue.submit_all(jobs(4)[2:])
    await queue.until_done(4)
    assert sorted(again.done) == [1, 2, 3, 4]
    assert queue.times_done == {1: 1, 2: 1, 3: 1, 4: 1}


async def test_a_lane_shows_all_workers_behind_one_queue_with_its_depth(queue: WorkQueue[Any]) -> None:
    for name in ("one", "two"):
        await queue.worker(name, start=False)
    lane = await queue.lane()
    assert [one.name for one in lane.subscribers] == ["one", "two"]
    (shared,) = lane.queues
    await queue.submit_all(jobs(2))
    assert shared.depth is not None
    waiting = 0 if queue.broker == "rabbitmq" else 2  # it has handed both out: that is what prefetch means
    await until_told(shared.depth, lambda depth: depth == waiting)


async def test_a_recipe_says_what_it_uses_and_what_it_had_to_build(queue: WorkQueue[Any]) -> None:
    assert queue.native
    assert bool(queue.built) == (queue.broker != "rabbitmq")


async def test_queues_are_opened_on_the_brokers_there_are(client: Any) -> None:
    queues = await open_queues({client.broker: client}, unique("invoices"))
    assert list(queues) == [client.broker]


async def test_an_invoice_without_an_amount_cannot_be_rendered() -> None:
    render(make_order(1))
    with pytest.raises(ValueError, match="order 1 has no amount"):
        render({"order": 1})
