"""Dead letters: what consumers gave up is found by JetStream's advisories, and none is missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.channels.dead_letters import DeadLetter
from labkit.brokers.nats.client import NatsClient
from labkit.events import Kind, Place
from labkit.feed import Feed
from labkit.ledger import Ledger
from tests.support import until_told

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def give_up(stream: Stream, *values: object, attempts: int = 2) -> None:
    """Publish these, and have each given up by a consumer after so many attempts."""
    consumer = await stream.consumer("billing", max_deliver=attempts)
    for value in values:
        await stream.publish(value)
    async with consumer.subscribe() as billing:
        for _ in range(attempts * len(values)):
            await (await anext(billing)).nak()
        # JetStream gives a message up when it would send it again, so somebody must still ask for messages.
        await stream.publish("fence")
        fence = await anext(billing)
        assert fence.value == "fence"
        await fence.ack_sync()


async def take(stream: Stream, count: int) -> list[DeadLetter]:
    letters = await stream.dead_letters()
    taken: list[DeadLetter] = []
    async with letters.subscribe("undertaker") as undertaker:
        for _ in range(count):
            letter = await anext(undertaker)
            assert isinstance(letter, DeadLetter)
            await letter.ack()
            taken.append(letter)
    return taken


async def test_what_was_delivered_too_often_is_found(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await stream.dead_letters()
    await give_up(stream, {"order": 1})
    (letter,) = await take(stream, 1)
    assert (letter.value, letter.sequence, letter.consumer) == ({"order": 1}, 1, "billing")
    assert (letter.reason, letter.deliveries, letter.is_gone) == ("delivered too often", 2, False)
    assert letter.message.channel == name


async def test_what_was_ended_with_term_is_found_with_its_reason(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await stream.dead_letters()
    consumer = await stream.consumer("billing")
    await stream.publish("order")
    async with consumer.subscribe() as billing:
        await (await anext(billing)).term("no such customer")
    (letter,) = await take(stream, 1)
    assert (letter.value, letter.reason, letter.deliveries) == ("order", "no such customer", 1)


async def test_none_is_missed_though_nobody_is_there_to_read(
    client: NatsClient, server: Server, name: str
) -> None:
    stream = await client.stream(name)
    letters = await stream.dead_letters()
    await give_up(stream, *range(20))
    await until_told(letters.depth, lambda depth: depth == 20)  # stored when NATS gets to it
    await server.kill()
    await server.restart()
    await client.restored()
    assert sorted(letter.value for letter in await take(stream, 20)) == list(range(20))


async def test_before_they_are_kept_they_are_lost(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await give_up(stream, 1)
    assert await (await stream.dead_letters()).depth() == 0


async def test_a_letter_that_is_not_acknowledged_comes_again(
    client: NatsClient, name: str, feed: Feed
) -> None:
    stream = await client.stream(name)
    letters = await stream.dead_letters()
    await give_up(stream, 1)
    async with letters.subscribe("undertaker") as undertaker:
        await (await anext(undertaker)).nak()
        again = await anext(undertaker)
        assert (again.value, again.attempt) == (1, 2)
        await again.ack()
    assert feed.count(Kind.DEAD_LETTERED, Place("nats", name, "undertaker")) == 1


async def test_on_a_work_queue_term_leaves_only_the_advisory(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, retention="workqueue")
    await stream.dead_letters()
    consumer = await stream.consumer("workers")
    await stream.publish("order")
    async with consumer.subscribe() as worker:
        await (await anext(worker)).term()
    (letter,) = await take(stream, 1)
    assert letter.is_gone
    assert letter.value["stream_seq"] == letter.sequence == 1
    assert await stream.depth() == 0


async def test_on_a_work_queue_max_deliver_leaves_the_message(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, retention="workqueue")
    await stream.dead_letters()
    await give_up(stream, "order")
    (letter,) = await take(stream, 1)
    assert (letter.value, letter.is_gone) == ("order", False)
    assert await stream.depth() == 1
    await stream.delete_message(letter.sequence)
    assert await stream.depth() == 0


async def test_the_ledger_accounts_for_dead_letters(server: Server, name: str) -> None:
    ledger = Ledger()
    async with NatsClient(server.url, ledger) as client:
        stream = await client.stream(name)
        await stream.dead_letters()
        await give_up(stream, 1, 2)
        await take(stream, 2)
    assert ledger.verdict().dead_lettered == 2
