"""What each of the broker's kinds of channel promises, with the experiments that show it."""

from __future__ import annotations

from labkit.brokers.redis.experiments import list, pubsub, reliable, stream

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = (pubsub.EXPERIMENTS, list.EXPERIMENTS, reliable.EXPERIMENTS, stream.EXPERIMENTS)
