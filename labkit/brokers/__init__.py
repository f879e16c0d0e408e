"""The brokers, one slice a folder, each with the same files.

    program.py     which program runs it, how new it must be, where it comes from
    server.py      how that program is run, and when it is ready
    image.py       how its container image is run
    client.py      one connection, for as long as it is wanted
    errors.py      what the client library's errors mean
    channels/      the broker's own kinds of channel, one a file
    experiments/   what each kind promises, each promise with the experiment that shows it

A slice is imported when it is first used, so a command that needs none of them starts at once.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from labkit.events import Observer

if TYPE_CHECKING:
    from labkit.brokers.experiment import Experiments

__all__ = ["BROKERS", "TITLES", "all_experiments", "experiments", "new_client", "part"]

BROKERS = ("nats", "rabbitmq", "redis", "kafka")
TITLES = {"nats": "NATS", "rabbitmq": "RabbitMQ", "redis": "Redis", "kafka": "Kafka"}


def part(broker: str, name: str) -> ModuleType:
    """Return one module of a broker's slice: ``part("nats", "server")``."""
    return import_module(f"labkit.brokers.{broker}.{name}")


def new_client(broker: str, url: str, observer: Observer | None = None) -> Any:
    """Return this broker's client, not yet open: ``NatsClient``, ``RabbitmqClient`` and so on."""
    return getattr(part(broker, "client"), f"{broker.capitalize()}Client")(url, observer)


def experiments(broker: str) -> tuple[Experiments[Any], ...]:
    """Return a broker's kinds of channel, each with its claims and what shows them."""
    kinds: tuple[Experiments[Any], ...] = part(broker, "experiments").EXPERIMENTS
    return kinds


def all_experiments() -> tuple[Experiments[Any], ...]:
    """Return the kinds of channel of all brokers, broker by broker."""
    return tuple(kind for broker in BROKERS for kind in experiments(broker))
