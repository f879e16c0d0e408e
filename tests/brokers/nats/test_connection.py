"""A connection to NATS: it comes back for ever, and says what happens to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.status import Status, StatusEvent
from labkit.errors import BrokerError, ChannelClosed, ConnectFailed, ConnectionLost, LoginRefused, NoAnswer
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server
    from tests.brokers.nats.conftest import SecuredServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


def kinds(client: NatsClient) -> list[Status]:
    return [event.kind for event in client.events]


async def test_its_events_tell_of_a_broker_that_was_killed_and_came_back(
    client: NatsClient, server: Server
) -> None:
    await server.kill()
    await until(lambda: client.status is Status.DISCONNECTED)
    await server.restart()
    await client.restored()
    assert client.status is Status.CONNECTED
    await client.close()
    assert client.status is Status.CLOSED
    assert kinds(client) == [Status.CONNECTED, Status.DISCONNECTED, Status.RECONNECTED, Status.CLOSED]


async def test_it_comes_back_however_often_the_broker_goes(client: NatsClient, server: Server) -> None:
    for times in range(1, 4):
        await server.kill()
        await server.restart()
        await client.restored()
        assert kinds(client).count(Status.RECONNECTED) == times


async def test_it_tries_more_often_than_nats_py_would_by_itself(server: Server) -> None:
    """nats-py gives up after 60 attempts unless it is told otherwise."""
    async with NatsClient(server.url, reconnect_wait=0.001) as client:
        await server.kill()
        await until(lambda: client.native._server_pool[0].reconnects > 70)
        await server.restart()
        await client.restored()


async def test_each_event_is_told_as_it_happens(server: Server) -> None:
    heard: list[StatusEvent] = []

    async def hear(event: StatusEvent) -> None:
        heard.append(event)

    async with NatsClient(server.url, on_status=hear) as client:
        assert heard == list(client.events)
    assert [event.kind for event in heard] == [Status.CONNECTED, Status.CLOSED]
    assert str(heard[0]).startswith("connected: to NATS 2.")


async def test_a_slow_subscriber_is_named_once_and_what_it_lost_is_counted(
    client: NatsClient, name: str
) -> None:
    subject = client.subject(name)
    async with subject.subscribe("crawler", pending_messages=10) as crawler:
        for number in range(100):
            await subject.publish(number)
        await client.flush()
        assert crawler.dropped == 90
        slow = [event for event in client.events if event.kind is Status.SLOW_CONSUMER]
        assert len(slow) == 1
        assert "crawler" in slow[0].words
        assert [(await anext(crawler)).value for _ in range(10)] == list(range(10))


async def test_the_options_reach_nats_py(server: Server) -> None:
    client = NatsClient(server.url, reconnect_wait=0.5, ping_interval=3.0, no_echo=True)
    async with client:
        options = client.native.options
        assert (options["reconnect_time_wait"], options["ping_interval"]) == (0.5, 3.0)
        assert options["no_echo"]
        assert options["max_reconnect_attempts"] == -1


async def test_a_wrong_password_is_refused_and_not_repeated(secured: SecuredServer) -> None:
    with pytest.raises(LoginRefused, match="does not let us in") as caught:
        await NatsClient(secured.url("ann", "secret")).open()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


async def test_no_password_is_refused(secured: SecuredServer) -> None:
    with pytest.raises(LoginRefused):
        await NatsClient(f"nats://127.0.0.1:{secured.port}").open()


async def test_an_address_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(ConnectFailed):
        await NatsClient("nats://127.0.0.1:notaport").open()


async def test_whoever_speaks_something_else_is_no_nats_server() -> None:
    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ready\r\n")

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=str(port)):
            await NatsClient(f"nats://127.0.0.1:{port}").open()


async def test_a_connection_that_is_given_up_for_good_ends_the_waiting(client: NatsClient, name: str) -> None:
    subscription = await client.subject(name).subscribe("billing").open()
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    await client.native.close()  # as nats-py does when the server sends an error that cannot be mended
    with pytest.raises(ConnectionLost, match="for good"):
        await waiting
    assert client.events[-1].kind is Status.CLOSED
    with pytest.raises(BrokerError, match="closed"):
        await client.subject(name).publish(1)


async def test_a_handler_learns_of_a_connection_that_is_given_up_for_good(
    client: NatsClient, name: str
) -> None:
    subscription = (await client.subject(name).subscribe("billing").open()).run(lambda delivery: None)
    await client.native.close()
    await until(lambda: subscription.error)
    with pytest.raises(ConnectionLost):
        await subscription.close()


async def test_a_closed_client_says_so_to_every_call(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await client.close()
    for call in (
        client.flush,
        stream.info,
        lambda: stream.publish(1),
        lambda: client.subject(name).request(1),
    ):
        with pytest.raises(ChannelClosed):
            await call()


async def test_a_frozen_broker_leaves_the_connection_as_it_was(
    client: NatsClient, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late answer to nats-py's own flush would end its reading (2.16)."""
    monkeypatch.setattr("labkit.brokers.nats.errors.CALL_SECONDS", 0.1)
    async with client.subject(name).subscribe("billing") as billing:
        await server.pause()
        try:
            with pytest.raises(NoAnswer):
                await client.flush()
        finally:
            await server.resume()
        await client.restored()
        await client.subject(name).publish(1)
        assert (await anext(billing)).value == 1
    assert kinds(client) == [Status.CONNECTED]


async def test_a_call_that_the_broker_leaves_unanswered_ends_when_the_connection_breaks(
    client: NatsClient, server: Server, name: str
) -> None:
    stream = await client.stream(name)
    await server.pause()
    waiting = asyncio.ensure_future(stream.info())
    await asyncio.sleep(0)
    await server.kill()
    with pytest.raises(ConnectionLost):
        await waiting
    await server.restart()
