"""RabbitMQ: the contestants, a file a kind of channel."""

from __future__ import annotations

from labkit.bench.cases.rabbitmq.queue import quorum
from labkit.bench.cases.rabbitmq.requests import classic
from labkit.bench.cases.rabbitmq.stream import stream
from labkit.bench.kind import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind, ...] = (classic, quorum, stream)
