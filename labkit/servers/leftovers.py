"""Removing what a lab has with a container engine: its containers, networks and volumes.

Run by its path, it is the lab's cleaner: a process that waits until its input ends, and then removes all of
it. Its input is a pipe from the guardian, so it acts when the guardian has left, however that went. It needs
no image and no privileged container, as Testcontainers' own reaper does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["BROKER_LABEL", "LAB_LABEL", "MARKER", "cleaner_command", "main", "remove", "remove_marked"]

LAB_LABEL = "org.labkit.lab"
"""On all that a lab has with an engine; its value is the lab's folder."""

BROKER_LABEL = "org.labkit.broker"

MARKER = "containers.json"
"""The file in a lab's folder that says with which engine the lab has containers."""

THREADS = 8


def cleaner_command(folder: Path, *, keep: bool) -> list[str]:
    """Return the argv of a lab's cleaner. ``keep`` leaves the volumes, which hold the brokers' data."""
    settings = {"folder": str(folder), "keep": keep}
    return [sys.executable, "-P", __file__, json.dumps(settings)]


def remove_marked(folder: Path, *, keep: bool) -> None:
    """Remove what a lab that is over has with the engine that its marker names, if it has one.

    Raises what the engine's client raises if the engine does not answer; then the marker stays.
    """
    marker = folder / MARKER
    if not marker.is_file():
        return
    host = json.loads(marker.read_text())["host"]
    if not _is_removed_engine(host):
        remove(folder, host, keep=keep)
    marker.unlink()


def remove(folder: Path, host: str, *, keep: bool) -> None:
    """Remove the lab's containers and networks, and unless they are to be kept its volumes."""
    import docker  # type: ignore[import-untyped]  # here, so that waiting costs next to nothing

    client = docker.from_env(environment={**os.environ, "DOCKER_HOST": host} if host else None)
    ours = {"filters": {"label": f"{LAB_LABEL}={folder}"}}
    try:
        _each(client.containers.list(all=True, **ours), lambda one: one.remove(force=True, v=True))
        _each(client.networks.list(**ours), lambda one: one.remove())
        if not keep:
            _each(client.volumes.list(**ours), lambda one: one.remove(force=True))
    finally:
        client.close()


def _each(found: Iterable[Any], act: Callable[[Any], None]) -> None:
    from docker.errors import APIError  # type: ignore[import-untyped]

    def act_on(one: Any) -> None:
        with suppress(APIError):  # gone, or being removed by somebody else
            act(one)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act_on, found))


def _is_removed_engine(host: str) -> bool:
    """Return whether this was an engine of its own whose socket has gone with it."""
    return host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists()


def main() -> None:
    """Wait until the input ends; then remove."""
    settings = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    # Without the marker the owner has removed all of it already.
    remove_marked(Path(settings["folder"]), keep=settings["keep"])


if __name__ == "__main__":
    main()
