"""How Redis's image is run: as the program is, with its append-only file in /data."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.servers.recipe import Contained

__all__ = ["IMAGE", "PORTS", "contained"]

IMAGE = "redis:8.0.2-alpine"
PORTS = {"client": 6379}
DATA = "/data"

# Without a password Redis serves its own machine only, and every client comes from outside the container.
# That the port is open on loopback alone is the engine's business.
ARGV = (
    *("redis-server", "--protected-mode", "no", "--dir", DATA),
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    *("--shutdown-timeout", "0", "--hz", "100", "--dynamic-hz", "no"),
)


def contained(ports: Mapping[str, int]) -> Contained:
    """Return what is run. It listens on its standard port inside, whatever it is outside."""
    return Contained(PORTS, DATA, ARGV)
