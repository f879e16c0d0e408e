"""Kafka: the contestants side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from labkit.bench.cell import Operation, batches
from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage
from labkit.brokers.pipeline import WINDOW

__all__ = ["KINDS", "TopicKind"]

COMMIT_SECONDS = 1.0
"""How often a consumer stores its place while messages flow, as the lab's own does."""

CONSUMER: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "metadata_max_age_ms": 10_000,
    "heartbeat_interval_ms": 500,
    "fetch_max_wait_ms": 100,
}
"""The settings of the lab's own subscriber, for everybody."""


def address(url: str) -> str:
    """Return what the client libraries want to know."""
    return url.removeprefix("kafka://").rstrip("/")


async def on_stage(stage: Stage, **options: Any) -> AIOKafkaProducer:
    """Return a raw producer that is stopped with the stage."""
    producer = AIOKafkaProducer(bootstrap_servers=address(stage.url), acks="all", **options)
    return await stage.started(producer)


class TopicKind(Kind):
    """A topic with one partition."""

    broker = "kafka"
    name = "topic"

    async def make(self, url: str, name: str) -> None:
        await self._ask(url, "create_topics", [NewTopic(name, 1, 1)])

    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=address(url), acks="all") as producer:
            for payload in payloads:
                await producer.send(name, payload)
            await producer.flush()

    @asynccontextmanager
    async def watch(self, url: str, name: str) -> AsyncIterator[Arrived]:
        place = TopicPartition(name, 0)
        async with AIOKafkaConsumer(bootstrap_servers=address(url)) as consumer:

            async def end() -> int:
                return int((await consumer.end_offsets([place]))[place])

            began = await end()

            async def arrived() -> int:
                return await end() - began

            yield arrived

    async def empty(self, url: str, name: str) -> None:
        """Nothing: a topic keeps what it has, and publishing to a long one costs no more."""

    async def remove(self, url: str, name: str) -> None:
        await self._ask(url, "delete_topics", [name])

    async def _ask(self, url: str, method: str, *arguments: Any) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=address(url))
        await admin.start()
        try:
            await getattr(admin, method)(*arguments)
        finally:
            await admin.close()


topic = TopicKind()
KINDS: tuple[Kind, ...] = (topic,)


@topic.raw(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await on_stage(stage)).send_and_wait, stage.name)


@topic.ours(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    publish: Work = (await (await stage.client()).topic(stage.name)).publish
    return publish


@topic.faststream(Operation.CONFIRM)
async def _(stage: Stage) -> Work:
    return partial((await faststream(stage)).publish, topic=stage.name)


@topic.raw(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    producer, name = await on_stage(stage), stage.name

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            answers = [await producer.send(name, payload) for payload in batch]
            await asyncio.gather(*answers)

    return publish


@topic.faststream(Operation.PIPELINE)
async def _(stage: Stage) -> Work:
    broker, name = await faststream(stage), stage.name

    async def publish(payloads: Sequence[bytes]) -> None:
        for batch in batches(payloads, WINDOW):
            answers = [await broker.publish(payload, topic=name, no_confirm=True) for payload in batch]
            await asyncio.gather(*answers)

    return publish


@topic.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    consumer = AIOKafkaConsumer(
        stage.name,
        bootstrap_servers=address(stage.url),
        group_id=stage.name,
        auto_commit_interval_ms=int(COMMIT_SECONDS * 1000),
        **CONSUMER,
    )
    await stage.started(consumer)
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for record in consumer:
            if take(record.value):
                return

    return consume


@topic.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    channel = await (await stage.client()).topic(stage.name)
    subscription = await stage.enter(channel.subscribe("billing", start="earliest", group=stage.name))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            if take(delivery.data):
                return

    return consume


@topic.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    from faststream import AckPolicy
    from faststream.kafka import KafkaBroker

    broker = KafkaBroker(address(stage.url), logger=None)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    broker.subscriber(
        stage.name,
        group_id=stage.name,
        ack_policy=AckPolicy.ACK_FIRST,
        auto_commit_interval_ms=int(COMMIT_SECONDS * 1000),
        **{name: value for name, value in CONSUMER.items() if name != "metadata_max_age_ms"},
    )(handle)
    await stage.started(broker)
    return stage.received.complete


async def faststream(stage: Stage) -> Any:
    """Return a started FastStream broker without subscribers."""
    from faststream.kafka import KafkaBroker

    return await stage.started(KafkaBroker(address(stage.url), logger=None, acks="all"))
