"""Learn message brokers by running real ones: NATS, RabbitMQ, Redis and Kafka.

``Lab`` is the way in. Everything else is imported from the module that is about it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Lab", "__version__"]

__version__ = version("broker-lab")


def __getattr__(name: str) -> Any:
    # `labkit --help` and the set-up need no client libraries; the lab does.
    if name == "Lab":
        from labkit.lab import Lab

        return Lab
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
