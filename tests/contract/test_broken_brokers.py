"""What every channel must show when the broker is not there, dies, or freezes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from labkit.brokers import new_client
from labkit.errors import BrokerError, ConnectFailed, PublishFailed
from labkit.events import Kind
from tests.contract.kinds import KINDS, ChannelKind
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROKERS = sorted({kind.broker for kind in KINDS.values()})
SCHEMES = {"nats": "nats://", "rabbitmq": "amqp://lab:lab@", "redis": "redis://", "kafka": "kafka://"}
AT_MOST = 20.0
"""Seconds in which any call must have come back, whatever the broker does."""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where somebody accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_wrong_address_is_a_clear_error(broker: str, closed_port: int) -> None:
    client = new_client(broker, f"{SCHEMES[broker]}127.0.0.1:{closed_port}")
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(ConnectFailed, match=str(closed_port)) as caught:
            await client.open()
    assert caught.value.broker == broker
    assert caught.value.remedy
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("broker", BROKERS)
async def test_an_address_where_nobody_speaks_is_given_up(
    broker: str, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"labkit.brokers.{broker}.client.CONNECT_SECONDS", 0.3)
    client = new_client(broker, f"{SCHEMES[broker]}127.0.0.1:{silent_port}")
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(ConnectFailed, match=str(silent_port)):
            await client.open()


async def test_subscribers_hear_again_after_the_broker_was_killed_and_restarted(
    kind: ChannelKind, server: Server
) -> None:
    subscribers = {name: await kind.subscribe(name) for name in ("billing", "audit")}
    publisher = Publisher(kind)
    async with publisher:
        await until(lambda: all(len(received) >= 50 for _, received in subscribers.values()))
        await server.kill()
        await server.restart()
        after = publisher.attempted + 50
        await until(lambda: all(max(received) > after for _, received in subscribers.values()))
    last = publisher.attempted + 1
    await kind.publish(last)
    await until(lambda: all(received[-1] == last for _, received in subscribers.values()))

    if kind.keeps_over_a_kill:
        for _, received in subscribers.values():
            assert set(publisher.accepted) <= set(received)
    count = kind.feed.count
    assert count(Kind.SENT, kind.publisher) == last
    failed = count(Kind.REFUSED, kind.publisher) + count(Kind.IN_DOUBT, kind.publisher)
    assert failed == publisher.attempted - len(publisher.accepted)
    for subscription, received in subscribers.values():
        arrived = count(Kind.DELIVERED, subscription.place) + count(Kind.REDELIVERED, subscription.place)
        assert arrived == len(received)


@pytest.mark.parametrize("kind_name", ["rabbitmq-exclusive", "rabbitmq-exchange"])
async def test_what_rabbitmq_confirms_after_a_restart_reaches_queues_that_had_to_be_made_again(
    kind: ChannelKind, server: Server
) -> None:
    subscribers = {name: await kind.subscribe(name) for name in "abcdef"}
    publisher = Publisher(kind)
    async with publisher:
        await until(lambda: publisher.accepted)
        await server.kill()
        refused_from = publisher.attempted + 1
        await server.restart()
        await until(lambda: publisher.accepted[-1] > refused_from)
    last = publisher.accepted[-1]
    await until(lambda: all(received[-1:] == [last] for _, received in subscribers.values()))

    confirmed = {number for number in publisher.accepted if number > refused_from}
    for _, received in subscribers.values():
        assert confirmed <= set(received)


class Publisher:
    """Publishes numbers from 1, one after another, until it is left; keeps those that were not refused."""

    def __init__(self, kind: ChannelKind) -> None:
        self.kind = kind
        self.attempted = 0
        self.accepted: list[int] = []
        self._is_wanted = True

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._publish())

    async def __aexit__(self, *_: object) -> None:
        self._is_wanted = False
        await self._task

    async def _publish(self) -> None:
        while self._is_wanted:
            self.attempted += 1
            try:
                await self.kind.publish(self.attempted)
                self.accepted.append(self.attempted)
            except PublishFailed:
                pass
            await asyncio.sleep(0.002)


async def test_publishing_to_a_dead_broker_ends(kind: ChannelKind, server: Server) -> None:
    await kind.publish(1)
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            if kind.confirms:
                with pytest.raises(PublishFailed) as caught:
                    await kind.publish(2)
                assert caught.value.remedy
                assert caught.value.__cause__ is not None
            else:
                await kind.publish(2)
    finally:
        await server.restart()
    count = kind.feed.count
    failed = count(Kind.REFUSED, kind.publisher) + count(Kind.IN_DOUBT, kind.publisher)
    assert failed == (1 if kind.confirms else 0)


async def test_publishing_to_a_frozen_broker_ends(kind: ChannelKind, server: Server) -> None:
    await kind.publish(1)
    await server.pause()
    try:
        async with asyncio.timeout(AT_MOST):
            if kind.confirms:
                with pytest.raises(PublishFailed):
                    await kind.publish(2)
            else:
                await kind.publish(2)
    finally:
        await server.resume()


async def test_subscribing_to_a_dead_broker_ends(kind: ChannelKind, server: Server) -> None:
    await kind.publish(1)
    subscription = await kind.subscription("billing")
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            with pytest.raises(BrokerError):
                await subscription.open()
        assert not subscription.is_open
    finally:
        await server.restart()


async def test_closing_ends_though_the_broker_is_dead(kind: ChannelKind, server: Server) -> None:
    _, received = await kind.subscribe("billing")
    await kind.publish(1)
    await until(lambda: received)
    await server.kill()
    try:
        async with asyncio.timeout(AT_MOST):
            await kind.client.close()
    finally:
        await server.restart()


@pytest.mark.parametrize("kind_name", ["rabbitmq-exchange"])
async def test_a_question_to_rabbitmq_that_is_given_up_leaves_the_connection_alone(kind: ChannelKind) -> None:
    queue = await kind.client.queue(kind.name)
    connection = kind.client.native.transport.connection
    for number in range(200):
        with suppress(TimeoutError):
            async with asyncio.timeout(number * 0.00002):
                await queue.depth()
    for number in range(20):
        await kind.publish(number)
    assert kind.client.native.transport.connection is connection
    assert not connection.is_closed


@pytest.mark.parametrize("kind_name", ["kafka-topic"])
async def test_closing_ends_though_a_fetch_waits_to_be_tried_again(
    kind: ChannelKind, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    subscription, received = await kind.subscribe("billing")
    # An hour instead of 0.1 s, so that the fetch certainly sleeps when the subscription is closed.
    subscription._native._fetcher._retry_backoff = 3600
    await kind.publish(1)
    await until(lambda: received)
    await server.kill()
    try:
        await until(lambda: "Failed fetch messages" in caplog.text)  # after which its task sleeps
        async with asyncio.timeout(AT_MOST):
            await subscription.close()
    finally:
        await server.restart()
    connections = subscription._native._client._conns.values()
    assert not any(connection.connected() for connection in connections)
