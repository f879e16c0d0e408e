"""What each of the broker's kinds of channel promises, with the experiments that show it."""

from __future__ import annotations

from typing import Any

from labkit.brokers.experiment import Experiments
from labkit.brokers.kafka.experiments import topic, transactional_topic

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: tuple[Experiments[Any], ...] = (topic.EXPERIMENTS, transactional_topic.EXPERIMENTS)
