"""For each broker something that must outlive it: how it is made, and whether it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aio_pika
import nats
import redis.asyncio
from aio_pika.exceptions import ChannelNotFoundEntity
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from nats.js.errors import NotFoundError

__all__ = ["MAKE", "finds"]

NAME = "durable"


async def _make_stream(url: str) -> None:
    native = await nats.connect(url)
    await native.jetstream().add_stream(name=NAME, subjects=[NAME])
    await native.close()


async def _finds_stream(url: str) -> bool:
    native = await nats.connect(url)
    try:
        await native.jetstream().stream_info(NAME)
    except NotFoundError:
        return False
    finally:
        await native.close()
    return True


async def _make_queue(url: str) -> None:
    async with await aio_pika.connect(url) as native:
        channel = await native.channel()
        await channel.declare_queue(NAME, durable=True)
        # RabbitMQ 4.0 may lose the newest declaration when it is killed, a second after it answered;
        # in hundreds of kills it never lost an older one.
        await channel.declare_queue(f"{NAME}.newest", durable=True)


async def _finds_queue(url: str) -> bool:
    async with await aio_pika.connect(url) as native:
        channel = await native.channel()
        try:
            await channel.declare_queue(NAME, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def _make_key(url: str) -> None:
    native = redis.asyncio.Redis.from_url(url)
    await native.set(NAME, "yes")
    written, _ = await native.execute_command("WAITAOF", 1, 0, 10_000)
    assert written == 1
    await native.aclose()


async def _finds_key(url: str) -> bool:
    native = redis.asyncio.Redis.from_url(url)
    value = await native.get(NAME)
    await native.aclose()
    return value == b"yes"


async def _make_topic(url: str) -> None:
    native = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
    await native.start()
    await native.create_topics([NewTopic(NAME, num_partitions=1, replication_factor=1)])
    await native.close()


async def _finds_topic(url: str) -> bool:
    native = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
    await native.start()
    topics = await native.list_topics()
    await native.close()
    return NAME in topics


MAKE: dict[str, Callable[[str], Awaitable[None]]] = {
    "nats": _make_stream,
    "rabbitmq": _make_queue,
    "redis": _make_key,
    "kafka": _make_topic,
}
"""Make it, and return when the broker has said that it is kept."""

_FINDS: dict[str, Callable[[str], Awaitable[bool]]] = {
    "nats": _finds_stream,
    "rabbitmq": _finds_queue,
    "redis": _finds_key,
    "kafka": _finds_topic,
}


async def finds(broker: str, url: str) -> bool:
    """Return whether the broker at ``url`` has what ``MAKE`` made."""
    return await _FINDS[broker](url)
