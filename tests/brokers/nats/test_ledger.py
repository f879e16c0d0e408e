"""The account of a run: what core NATS must lose it loses, and what a stream must keep it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.client import NatsClient
from labkit.ledger import Ledger

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_subject_loses_what_nobody_listens_to(server: Server, name: str) -> None:
    """The control: an account that shows no loss here would show none anywhere."""
    ledger = Ledger()
    async with NatsClient(server.url, ledger) as client:
        subject = client.subject(name)
        for number in range(100):
            await subject.publish(number)
        async with subject.subscribe("billing") as billing:
            for number in range(100, 150):
                await subject.publish(number)
            for _ in range(50):
                await anext(billing)
    verdict = ledger.verdict()
    assert (verdict.attempted, verdict.confirmed, verdict.in_doubt) == (150, 0, 150)
    assert (verdict.delivered, verdict.missing, verdict.duplicated) == (50, 100, 0)


async def test_a_subject_loses_what_its_only_listener_is_too_slow_for(server: Server, name: str) -> None:
    ledger = Ledger()
    async with NatsClient(server.url, ledger) as client:
        subject = client.subject(name)
        async with subject.subscribe("crawler", pending_messages=10) as crawler:
            for number in range(100):
                await subject.publish(number)
            await client.flush()
            for _ in range(10):
                await anext(crawler)
    assert ledger.verdict().missing == 90


async def test_a_stream_loses_nothing_it_confirmed_over_three_kills(server: Server, name: str) -> None:
    ledger = Ledger()
    async with NatsClient(server.url, ledger) as client:
        stream = await client.stream(name)
        consumer = await stream.consumer("billing")
        async with consumer.subscribe() as billing:
            for number in range(200):
                await stream.publish(number)
                await (await anext(billing)).ack()
                if number % 60 == 59:
                    await server.kill()
                    await server.restart()
                    await client.restored()
            await stream.publish("fence")
            while (await anext(billing)).value != "fence":
                pass
    verdict = ledger.verdict()
    assert (verdict.confirmed, verdict.delivered, verdict.lost) == (201, 201, 0)
    assert verdict.unexpected == 0


async def test_a_stream_in_memory_loses_all_with_the_broker(server: Server, name: str) -> None:
    """The control of the one before."""
    ledger = Ledger()
    async with NatsClient(server.url, ledger) as client:
        stream = await client.stream(name, storage="memory")
        for number in range(100):
            await stream.publish(number)
        await server.kill()
        await server.restart()
        await client.restored()
        again = await client.stream(name, storage="memory")
        async with again.replay() as replay:
            assert [one async for one in replay] == []
    verdict = ledger.verdict()
    assert (verdict.confirmed, verdict.lost) == (100, 100)
