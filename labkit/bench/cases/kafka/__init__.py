"""Kafka: the contestants, a file a kind of channel."""

from __future__ import annotations

from labkit.bench.cases.kafka.committed import committed_topic
from labkit.bench.cases.kafka.topic import topic
from labkit.bench.kind import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind, ...] = (topic, committed_topic)
