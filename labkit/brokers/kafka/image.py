"""How Kafka's image is run: with the settings of the program, told as the image wants to be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.brokers.kafka.server import CONFIGURATION
from labkit.servers.recipe import Contained

__all__ = ["IMAGE", "PORTS", "as_environment", "contained"]

IMAGE = "apache/kafka:4.3.1"
PORTS = {"client": 9092}
CONTROLLER = 9093
DATA = "/var/lib/kafka/data"
CLUSTER_ID = "bGFia2l0LWxhYmtpdC1sYQ"
"""Any 16 bytes in URL-safe base64; a lab's cluster never meets another."""


def contained(ports: Mapping[str, int]) -> Contained:
    """Return what is run.

    Kafka tells its clients, and itself, the address to come back to. So it listens inside on the port that
    is used outside: then that address is right in both places.
    """
    settings = CONFIGURATION.format(client=ports["client"], controller=CONTROLLER, data=DATA)
    env = {
        **as_environment(settings),
        "KAFKA_LISTENERS": f"PLAINTEXT://:{ports['client']},CONTROLLER://127.0.0.1:{CONTROLLER}",
        "CLUSTER_ID": CLUSTER_ID,
        "KAFKA_HEAP_OPTS": "-Xms128m -Xmx256m",
        "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true",
    }
    return Contained({"client": ports["client"]}, DATA, env=env)


def as_environment(settings: str) -> dict[str, str]:
    """Return Kafka's settings as the variables that its image makes them from."""
    return {_variable(name): value for name, value in _pairs(settings)}


def _pairs(settings: str) -> Iterator[tuple[str, str]]:
    for line in settings.split():
        name, _, value = line.partition("=")
        yield name, value


def _variable(name: str) -> str:
    return "KAFKA_" + name.upper().replace("_", "__").replace(".", "_")
