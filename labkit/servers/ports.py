"""Ports on loopback: free ones, and whether one is taken."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from labkit.errors import PortTaken

__all__ = ["LOOPBACK", "free_ports", "is_taken", "refuse_taken_ports"]

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 18_000, 49_000
"""Where to look: below the ports this machine uses for outgoing connections. One of those could be taken in
the moment its broker is down."""

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """Return a free port for each name, all different."""
    ports: dict[str, int] = {}
    highest = _highest()
    for name in names:
        port = random.randrange(LOWEST, highest)
        while port in ports.values() or is_taken(port):
            port = random.randrange(LOWEST, highest)
        ports[name] = port
    return ports


def is_taken(port: int) -> bool:
    """Return whether somebody listens on this port, on loopback or on every address."""
    for host in (LOOPBACK, ""):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return True
    return False


def refuse_taken_ports(broker: str, ports: Mapping[str, int]) -> None:
    """Raise ``PortTaken`` if somebody listens on one of these ports already."""
    for name, port in ports.items():
        if is_taken(port):
            raise PortTaken(
                f"Somebody else listens on port {port}, which {broker} needs ({name}).",
                broker=broker,
                remedy="end that program, or start without standard ports",
            )


def _highest() -> int:
    try:
        lowest_ephemeral = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST
    return min(HIGHEST, lowest_ephemeral) if lowest_ephemeral > LOWEST + 1000 else HIGHEST
