"""A Kafka broker that asks for a password, and lets nobody but its operator do anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from labkit.brokers.kafka import program, server
from labkit.programs.program import Program
from labkit.servers.ports import LOOPBACK, free_ports
from labkit.servers.recipe import Launch
from labkit.servers.rehearsal import rehearse

__all__ = ["Guarded", "guarded"]

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SETTINGS = f"""
listeners=PLAINTEXT://{LOOPBACK}:{{client}},CONTROLLER://{LOOPBACK}:{{controller}},SASL_PLAINTEXT://{LOOPBACK}:{{guarded}}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{{client}},SASL_PLAINTEXT://{LOOPBACK}:{{guarded}}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config={PLAIN} user_ann="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
"""Later lines of a properties file win. Nobody is anonymous behind the listener that asks for a password."""


class Guarded:
    """Where the broker listens: ``operator`` needs no password and may do all; ``ann``'s port needs hers."""

    def __init__(self, operator: str, port: int) -> None:
        self.operator = operator
        self.address = f"{LOOPBACK}:{port}"

    def url(self, login: str) -> str:
        return f"kafka://{login}@{self.address}"


@asynccontextmanager
async def guarded() -> AsyncIterator[Guarded]:
    """Run such a broker."""
    port = free_ports({"guarded": 9094})["guarded"]

    def launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
        launch = server.launch(program, folder, ports)
        with (folder / "server.properties").open("a", encoding="utf-8") as properties:
            properties.write(SETTINGS.format(**ports, guarded=port))
        return launch

    async with rehearse(program.find(), launch) as broker:
        yield Guarded(broker.url, port)
