"""How Kafka is reached without the lab: by aiokafka, and by FastStream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from labkit.bench.kind import Arrived, Kind, Work
from labkit.bench.stage import Stage

__all__ = ["TopicKind", "consumer_on_stage", "faststream", "faststream_consumer", "producer_on_stage"]

COMMIT_SECONDS = 1.0
"""How often a consumer stores its place while messages flow, as the lab's own does."""

CONSUMER: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "heartbeat_interval_ms": 500,
    "fetch_max_wait_ms": 100,
    "auto_commit_interval_ms": int(COMMIT_SECONDS * 1000),
}
"""The settings of the lab's own subscriber, for everybody."""


def address(url: str) -> str:
    """Return what the client libraries want to know."""
    return url.removeprefix("kafka://").rstrip("/")


async def producer_on_stage(stage: Stage, *, acks: str | int = "all") -> AIOKafkaProducer:
    """Return a raw producer that is stopped with the stage."""
    return await stage.started(AIOKafkaProducer(bootstrap_servers=address(stage.url), acks=acks))


async def consumer_on_stage(stage: Stage, **options: Any) -> AIOKafkaConsumer:
    """Return a raw consumer of the stage's topic, in a group of its own, that is stopped with the stage."""
    options = {"group_id": stage.name, **CONSUMER, **options}
    return await stage.started(AIOKafkaConsumer(stage.name, bootstrap_servers=address(stage.url), **options))


class TopicKind(Kind):
    """A topic with one partition."""

    broker = "kafka"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

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


async def faststream(stage: Stage, *, acks: str | int = "all") -> Any:
    """Return a started FastStream broker without subscribers."""
    from faststream.kafka import KafkaBroker

    return await stage.started(KafkaBroker(address(stage.url), logger=None, acks=acks))


async def faststream_consumer(stage: Stage, policy: str) -> Work:
    """Start a FastStream subscriber that commits as this one of its ``AckPolicy`` says."""
    from faststream import AckPolicy
    from faststream.kafka import KafkaBroker

    broker = KafkaBroker(address(stage.url), logger=None)
    take = stage.received.take

    async def handle(body: bytes) -> None:
        take(body)

    options = {"group_id": stage.name, "ack_policy": AckPolicy[policy], **CONSUMER}
    broker.subscriber(stage.name, **options)(handle)
    await stage.started(broker)
    return stage.received.complete
