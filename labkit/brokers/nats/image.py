"""How NATS's image is run: as the program is, with its data in /data."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.servers.recipe import Contained

__all__ = ["IMAGE", "PORTS", "contained"]

IMAGE = "nats:2.15.1-alpine"
PORTS = {"client": 4222, "monitor": 8222}
DATA = "/data"


def contained(ports: Mapping[str, int]) -> Contained:
    """Return what is run. It listens on its standard ports inside, whatever they are outside."""
    argv = ("--name", "lab", "--http_port", str(PORTS["monitor"]), "--jetstream", "--store_dir", DATA)
    return Contained(PORTS, DATA, argv)
