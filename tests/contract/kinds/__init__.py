"""The channel kinds that the contract is about, each with the few words in which they differ.

A test says what every kind must show; a kind says how one subscribes to it and what it claims.
"""

from __future__ import annotations

from tests.contract.kinds import kafka, nats, rabbitmq, redis
from tests.contract.kinds.kind import ChannelKind

__all__ = ["KINDS", "ChannelKind"]

KINDS: dict[str, type[ChannelKind]] = {**nats.KINDS, **rabbitmq.KINDS, **redis.KINDS, **kafka.KINDS}
