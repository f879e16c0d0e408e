"""How nats-server is run: JetStream on, loopback only, with its monitoring page."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.programs.program import Program
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Launch

__all__ = ["PORTS", "launch", "prepare", "probe", "url"]

PORTS = {"client": 4222, "monitor": 8222}


def url(ports: Mapping[str, int]) -> str:
    """Return the address for clients."""
    return f"nats://{LOOPBACK}:{ports['client']}"


def launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
    """Return what is run. Streams are kept in ``folder/js``."""
    argv = (
        *(str(program.path), "--name", "lab", "--addr", LOOPBACK, "--port", str(ports["client"])),
        *("--http_port", str(ports["monitor"]), "--jetstream", "--store_dir", str(folder / "js")),
    )
    return Launch(argv, {"PATH": os.defpath, "HOME": str(folder)})


async def probe(url: str) -> str:
    """Return the version once the server has answered a ping. It listens only after JetStream is ready."""
    import nats  # here, because loading a client takes longer than to start this broker

    native = await nats.connect(url, allow_reconnect=False, connect_timeout=1, error_cb=_ignore)
    told = native.connected_server_version
    await native.close()
    return f"{told.major}.{told.minor}.{told.patch}"


async def _ignore(error: Exception) -> None:
    """Nothing: ``connect`` raises it too."""


def prepare(program: Program, say: Callable[[str], None]) -> None:
    """Nothing to prepare: it is ready in a hundredth of a second."""
