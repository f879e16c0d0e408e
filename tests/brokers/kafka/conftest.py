"""A Kafka broker for these tests, a client of it, and a feed that counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.feed import Feed
from tests.support import unique

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server


@pytest_asyncio.fixture(loop_scope="session")
async def server(fleet: Fleet) -> Server:
    return await fleet.start("kafka")


@pytest_asyncio.fixture(loop_scope="session")
async def feed() -> Feed:
    return Feed()


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Server, feed: Feed) -> AsyncIterator[KafkaClient]:
    async with KafkaClient(server.url, feed) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def topic(client: KafkaClient) -> Topic:
    return await client.topic(unique("orders"))
