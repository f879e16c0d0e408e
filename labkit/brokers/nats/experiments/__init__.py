"""What each of the broker's kinds of channel promises, with the experiments that show it."""

from __future__ import annotations

from typing import Any

from labkit.brokers.experiment import Experiments
from labkit.brokers.nats.experiments import stream, subject

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: tuple[Experiments[Any], ...] = (subject.EXPERIMENTS, stream.EXPERIMENTS)
