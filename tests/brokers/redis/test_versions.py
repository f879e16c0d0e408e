"""Which server it is, and what is too new for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labkit.brokers.redis.client import RedisClient
from labkit.brokers.redis.versions import SINCE, ServerVersion
from labkit.errors import Unsupported

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_server_tells_its_product_and_version(client: RedisClient, server: Server) -> None:
    assert client.version.number == server.version
    assert client.version.product in ("Redis", "Valkey")


@pytest.mark.parametrize("command", list(SINCE))
async def test_a_command_is_there_from_its_version_on(command: str) -> None:
    since = SINCE[command]
    ServerVersion("Redis", f"{since}.0").require(command)
    ServerVersion("Redis", "10.0.0").require(command)
    for too_old in (ServerVersion("Redis", "8.0.2"), ServerVersion("Valkey", "9.1.2")):
        with pytest.raises(Unsupported, match=f"{too_old} has no {command}") as caught:
            too_old.require(command)
        assert since in caught.value.remedy


async def test_newer_commands_are_refused_with_the_version_they_need(client: RedisClient, name: str) -> None:
    if any(client.version.has(command) for command in SINCE):
        pytest.skip(f"{client.version} is newer than these")
    group = await client.stream(name).group("processors")
    await client.stream(name).add(1)
    async with group.subscribe("worker") as worker:
        delivery = await anext(worker)
        calls = {
            "8.2": delivery.ack_and_delete(),
            "8.4": group.read_claiming("worker", idle=1),
            "8.6": client.stream(name).add(1, once=("shop", "order-1")),
            "8.8": delivery.nack(),
        }
        for version, call in calls.items():
            with pytest.raises(Unsupported) as caught:
                await call
            assert version in caught.value.remedy
        assert not delivery.is_settled
