"""Redis: the contestants, a file a kind of channel."""

from __future__ import annotations

from labkit.bench.cases.redis.lists import reliable_list, simple_list
from labkit.bench.cases.redis.pubsub import pubsub_channel
from labkit.bench.cases.redis.stream import stream
from labkit.bench.kind import Kind

__all__ = ["KINDS"]

KINDS: tuple[Kind, ...] = (pubsub_channel, simple_list, reliable_list, stream)
