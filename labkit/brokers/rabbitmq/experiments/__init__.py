"""What each of RabbitMQ's kinds of channel promises, with the experiments that show it."""

from __future__ import annotations

from typing import Any

from labkit.brokers.experiment import Experiments
from labkit.brokers.rabbitmq.experiments import classic_queue, quorum_queue, stream

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: tuple[Experiments[Any], ...] = (
    classic_queue.EXPERIMENTS,
    quorum_queue.EXPERIMENTS,
    stream.EXPERIMENTS,
)
