"""NATS: the contestants, a file a kind of channel."""

from __future__ import annotations

from labkit.bench.cases.nats.stream import stream
from labkit.bench.cases.nats.subject import subject
from labkit.bench.kind import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind, ...] = (subject, stream)
