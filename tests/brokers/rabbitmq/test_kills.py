"""What is there after SIGKILL, by the ledger: what must be kept, and what must be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from labkit.brokers.rabbitmq.channels.queue import Queue
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import NoAnswer
from labkit.ledger import Ledger
from labkit.verdict import Verdict
from tests.brokers.rabbitmq.support import LAST, depth_becomes, values_until_last

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = 200


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest_asyncio.fixture(loop_scope="session")
async def observed(server: Any, ledger: Ledger) -> AsyncIterator[RabbitmqClient]:
    async with RabbitmqClient(server.url, ledger) as client:
        yield client


async def verdict_after_a_kill(queue: Queue, server: Any, ledger: Ledger) -> Verdict:
    await server.kill()
    await server.restart()
    await queue.ready()
    await queue.publish(LAST, publisher="fence")
    await values_until_last(queue.subscribe("billing"))
    return ledger.verdict(publishers={"shop"})


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_what_is_persistent_and_confirmed_is_not_lost(
    observed: RabbitmqClient, name: str, server: Any, ledger: Ledger, kind: Any
) -> None:
    queue = await observed.queue(name, kind=kind)
    await observed.queue(f"{name}.newest")  # which RabbitMQ 4.0 may lose
    await queue.written()
    async with queue.pipeline() as pipeline:
        for number in range(MESSAGES):
            await pipeline.publish(number)
    verdict = await verdict_after_a_kill(queue, server, ledger)
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (MESSAGES, MESSAGES, 0)


async def test_what_is_transient_is_lost_though_confirmed(
    observed: RabbitmqClient, name: str, server: Any, ledger: Ledger
) -> None:
    queue = await observed.queue(name)
    async with queue.pipeline() as pipeline:
        for number in range(MESSAGES):
            await pipeline.publish(number, persistent=False)
    verdict = await verdict_after_a_kill(queue, server, ledger)
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (MESSAGES, 0, MESSAGES)


async def test_a_quorum_queue_keeps_the_transient_too(
    observed: RabbitmqClient, name: str, server: Any, ledger: Ledger
) -> None:
    queue = await observed.queue(name, kind="quorum")
    await observed.queue(f"{name}.newest")
    await queue.written()
    async with queue.pipeline() as pipeline:
        for number in range(MESSAGES):
            await pipeline.publish(number, persistent=False)
    verdict = await verdict_after_a_kill(queue, server, ledger)
    assert (verdict.delivered, verdict.lost) == (MESSAGES, 0)


async def test_what_is_neither_persistent_nor_confirmed_is_missing(
    observed: RabbitmqClient, name: str, server: Any, ledger: Ledger
) -> None:
    queue = await observed.queue(name)
    for number in range(MESSAGES):
        await queue.publish_unconfirmed(number, persistent=False)
    await depth_becomes(queue, MESSAGES)  # RabbitMQ had every one of them
    verdict = await verdict_after_a_kill(queue, server, ledger)
    assert (verdict.confirmed, verdict.in_doubt, verdict.missing) == (0, MESSAGES, MESSAGES)


async def test_what_was_not_confirmed_is_missing_if_the_broker_had_not_got_to_it(
    observed: RabbitmqClient, name: str, server: Any, ledger: Ledger
) -> None:
    queue = await observed.queue(name)
    await queue.publish_unconfirmed("opens the channel", publisher="somebody else")
    await depth_becomes(queue, 1)
    await server.pause()  # what is written from now on waits in the socket of a broker that never reads it
    for number in range(MESSAGES):
        await queue.publish_unconfirmed(number)
    verdict = await verdict_after_a_kill(queue, server, ledger)
    assert (verdict.attempted, verdict.missing) == (MESSAGES, MESSAGES)


async def test_a_quorum_queue_killed_as_soon_as_it_is_made_answers_nobody(
    server: Any, name: str, evaluate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RabbitmqClient(server.url) as client:
        queue = await client.queue(name, kind="quorum")
        await client.queue(f"{name}.newest")
        await queue.publish("order")
        await server.kill()
    await server.restart()
    monkeypatch.setattr("labkit.brokers.rabbitmq.errors.CALL_SECONDS", 2.0)
    try:
        async with RabbitmqClient(server.url) as client:
            subscription = (await client.queue(name, kind="quorum")).subscribe("billing")
            with pytest.raises(NoAnswer):
                await subscription.open()
    finally:
        await evaluate(
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"lab">>, queue, <<"{name}">>)), '
            'rabbit_amqqueue:internal_delete(Q, <<"lab">>).'
        )
