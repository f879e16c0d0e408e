"""What RabbitMQ refuses, and what then still works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.errors import (
    BrokerError,
    Conflict,
    ConnectionLost,
    LoginRefused,
    NoAnswer,
    NotAllowed,
    NotFound,
    PublishRefused,
)
from tests.support import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def changed(url: str, *, login: str = "lab:lab", vhost: str = "lab") -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, f"{login}@{parts.hostname}:{parts.port}", f"/{vhost}", "", ""))


@pytest_asyncio.fixture(loop_scope="session")
async def ann(server: Any, evaluate: Callable[[str], Awaitable[str]]) -> AsyncIterator[RabbitmqClient]:
    """A client whose user may only use what is called ``ann...``."""
    await evaluate(
        'rabbit_auth_backend_internal:add_user(<<"ann">>, <<"pw">>, <<"lab">>), '
        'rabbit_auth_backend_internal:set_permissions(<<"ann">>, <<"lab">>, '
        '<<"^ann">>, <<"^(ann|amq\\\\.default)">>, <<"^ann">>, <<"lab">>).'
    )
    async with RabbitmqClient(changed(server.url, login="ann:pw")) as client:
        yield client
    await evaluate('rabbit_auth_backend_internal:delete_user(<<"ann">>, <<"lab">>).')


@pytest.mark.parametrize("login", ["lab:wrong", "nobody:lab"])
async def test_a_wrong_login_is_refused(server: Any, login: str) -> None:
    with pytest.raises(LoginRefused, match="ACCESS_REFUSED") as caught:
        await RabbitmqClient(changed(server.url, login=login)).open()
    assert "wrong" not in str(caught.value)
    assert caught.value.remedy
    assert caught.value.__cause__ is not None


async def test_an_unknown_virtual_host_is_refused(server: Any) -> None:
    with pytest.raises(LoginRefused):
        await RabbitmqClient(changed(server.url, vhost="nowhere")).open()


async def test_what_a_user_may_not_do_is_not_allowed_and_the_rest_still_works(
    ann: RabbitmqClient, client: RabbitmqClient, name: str
) -> None:
    await client.queue(name)
    with pytest.raises(NotAllowed, match="refused for user 'ann'"):
        await ann.queue(f"{name}.mine")
    with pytest.raises(NotAllowed):
        await ann.exchange(name)
    with pytest.raises(NotAllowed):
        await (await ann.queue(name, passive=True)).subscribe("ann").open()
    own = await ann.queue(f"ann.{name}")
    assert await own.publish("order", mandatory=True)


async def test_publishing_where_a_user_may_not_is_refused(
    ann: RabbitmqClient, client: RabbitmqClient, name: str, evaluate: Callable[[str], Awaitable[str]]
) -> None:
    exchange = await ann.exchange(f"ann.{name}")
    await evaluate(
        'rabbit_auth_backend_internal:set_permissions(<<"ann">>, <<"lab">>, '
        '<<"^ann">>, <<"^nothing">>, <<"^ann">>, <<"lab">>).'
    )
    with pytest.raises(PublishRefused, match="ACCESS_REFUSED"):
        await exchange.publish("order")


async def test_a_queue_that_is_not_there_is_not_found(client: RabbitmqClient, name: str) -> None:
    with pytest.raises(NotFound, match="no queue"):
        await client.queue(name, passive=True)
    queue = await client.queue(name)
    async with RabbitmqClient(client.url) as other:
        await (await other.queue(name)).delete()
    with pytest.raises(NotFound, match=name):
        await queue.depth()


async def test_a_queue_that_is_another_connections_own_is_a_conflict(
    client: RabbitmqClient, name: str
) -> None:
    await client.queue(name, exclusive=True)
    async with RabbitmqClient(client.url) as other:
        with pytest.raises(Conflict, match="RESOURCE_LOCKED"):
            await other.queue(name, exclusive=True)


@pytest.mark.parametrize(
    "options", [{"message_ttl": -1.0}, {"arguments": {"x-max-length": "many"}}, {"max_length": -3}]
)
async def test_a_setting_that_makes_no_sense_is_refused(
    client: RabbitmqClient, name: str, options: Any
) -> None:
    with pytest.raises(BrokerError, match="x-m"):
        await client.queue(name, **options)
    assert client.is_restored


async def test_a_name_that_is_too_long_is_refused(client: RabbitmqClient) -> None:
    with pytest.raises(BrokerError):
        await client.queue("q" * 300)
    assert client.is_restored


async def test_a_broker_that_goes_while_it_is_asked_is_a_lost_connection(
    client: RabbitmqClient, name: str, server: Any
) -> None:
    queue = await client.queue(name)
    await server.pause()
    asking = asyncio.create_task(queue.depth())
    await asyncio.sleep(0)
    await server.kill()
    try:
        with pytest.raises(ConnectionLost) as caught:
            await asking
        assert caught.value.__cause__ is not None
    finally:
        await server.restart()
    await queue.ready()
    assert await queue.depth() == 0


async def test_a_frozen_broker_gives_no_answer(
    client: RabbitmqClient, name: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.rabbitmq.errors.CALL_SECONDS", 0.5)
    queue = await client.queue(name)
    await server.pause()
    try:
        with pytest.raises(NoAnswer, match="no answer"):
            await queue.depth()
    finally:
        await server.resume()


async def test_a_broker_frozen_until_the_heartbeats_stop_is_an_error_of_ours(server: Any, name: str) -> None:
    # aio-pika itself raises a bare CancelledError then.
    async with RabbitmqClient(f"{server.url}?heartbeat=1") as client:
        queue = await client.queue(name)
        await server.pause()
        try:
            with pytest.raises(BrokerError):
                await queue.publish("order")
            await until(lambda: not client.is_restored)
        finally:
            await server.resume()
        await queue.ready()
        assert await queue.publish("again", mandatory=True)
