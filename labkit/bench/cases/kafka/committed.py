"""Kafka topics, with the place stored after each message: the contestants side by side."""

from __future__ import annotations

from aiokafka import TopicPartition  # type: ignore[import-untyped]

from labkit.bench.cases.kafka.native import TopicKind, consumer_on_stage, faststream_consumer
from labkit.bench.cell import Operation
from labkit.bench.kind import Work
from labkit.bench.stage import Stage

__all__ = ["committed_topic"]

committed_topic = TopicKind("topic, commit each")


@committed_topic.raw(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    consumer = await consumer_on_stage(stage, enable_auto_commit=False)
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for record in consumer:
            await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})
            if take(record.value):
                return

    return consume


@committed_topic.ours(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    channel = await (await stage.client()).topic(stage.name)
    options = {"start": "earliest", "group": stage.name, "commit": "manual"}
    subscription = await stage.enter(channel.subscribe("billing", **options))
    take = stage.received.take

    async def consume(_count: int) -> None:
        async for delivery in subscription:
            await delivery.commit()
            if take(delivery.data):
                return

    return consume


@committed_topic.faststream(Operation.CONSUME)
async def _(stage: Stage) -> Work:
    return await faststream_consumer(stage, "NACK_ON_ERROR")
