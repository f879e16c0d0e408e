"""How redis-server and valkey-server are run: loopback only, with an append-only file synced every second."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.programs.program import Program
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Launch

__all__ = ["PORTS", "launch", "prepare", "probe", "url"]

PORTS = {"client": 6379}


def url(ports: Mapping[str, int]) -> str:
    """Return the address for clients."""
    return f"redis://{LOOPBACK}:{ports['client']}"


def launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
    """Return what is run. Its data is the append-only file in ``folder/appendonlydir``."""
    argv = (
        *(str(program.path), "--port", str(ports["client"]), "--bind", LOOPBACK, "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"),
        *("--shutdown-timeout", "0", "--hz", "100", "--dynamic-hz", "no"),
    )
    return Launch(argv, {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"})


async def probe(url: str) -> str:
    """Return the version once the server has loaded its data and answers."""
    import redis.asyncio  # here, because loading a client takes longer than to start this broker
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    native = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=1)
    try:
        await native.ping()
        about = await native.info("server")
    finally:
        await native.aclose()
    return str(about.get("valkey_version") or about["redis_version"])


def prepare(program: Program, say: Callable[[str], None]) -> None:
    """Nothing to prepare: it is ready in a hundredth of a second."""
