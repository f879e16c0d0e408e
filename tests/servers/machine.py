"""What this machine says about processes and ports, whatever the lab says."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from labkit.servers import Server
from labkit.servers.engine import Engine
from labkit.servers.leftovers import LAB_LABEL

__all__ = [
    "HOW",
    "IS_LINUX",
    "as_ordinary_user",
    "brokers_in",
    "end",
    "engine_things_of",
    "is_frozen",
    "is_gone",
    "is_listening",
    "listening_of",
    "processes_in",
    "remove_from_engine",
    "without_capabilities",
]

IS_LINUX = sys.platform == "linux"
HOW = os.environ.get("LABKIT_HOW", "process")
"""How the brokers of these tests run."""


def is_gone(pid: int) -> bool:
    """Return whether this process has ended, even if nobody has asked after its exit code yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_listening(port: int) -> bool:
    """Return whether somebody accepts connections at this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes whose working directory is below ``folder``, or whose command line names it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside or any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


def brokers_in(folder: Path) -> list[str]:
    """Return the names of what runs as a broker in a home: processes but the labs' own, and containers."""
    ours = ("guardian.py", "leftovers.py")
    running = [
        one for one in processes_in(folder) if not any(word in " ".join(one.cmdline()) for word in ours)
    ]
    return [process.name() for process in running] + [
        one.name for one in engine_things_of(folder) if hasattr(one, "status")
    ]


def engine_things_of(folder: Path) -> list[Any]:
    """Return the containers, networks and volumes of the labs below ``folder``, if brokers run so."""
    if HOW != "container":
        return []
    engine = Engine.connect()
    ours = {"filters": {"label": LAB_LABEL}}
    native = engine.native
    found = [*native.containers.list(all=True, ignore_removed=True, **ours), *native.networks.list(**ours)]
    found += native.volumes.list(**ours)
    engine.close()
    return [one for one in found if Path(_lab_of(one)).is_relative_to(folder)]


def _lab_of(thing: Any) -> str:
    labels = thing.attrs.get("Labels") or thing.attrs["Config"]["Labels"]
    lab: str = labels[LAB_LABEL]
    return lab


def remove_from_engine(things: Sequence[Any]) -> None:
    """Remove these: containers that a failed test left, volumes that were kept."""
    for thing in things:
        with suppress(Exception):
            thing.remove(force=True)


def listening_of(server: Server) -> set[tuple[str, int]]:
    """Return the addresses and ports at which this machine can reach a broker."""
    if HOW == "container":
        return {
            (one["HostIp"], int(one["HostPort"]))
            for bound in _inspect(server)["NetworkSettings"]["Ports"].values()
            for one in bound or []
        }
    assert server.pid is not None
    broker = psutil.Process(server.pid)
    return {
        (re.sub("^::ffff:", "", connection.laddr.ip), connection.laddr.port)
        for process in (broker, *broker.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or not connection.raddr
    }


def is_frozen(server: Server) -> bool:
    """Return whether every thread of a broker stands still."""
    if HOW == "container":
        return bool(_inspect(server)["State"]["Paused"])
    return psutil.Process(server.pid).status() == psutil.STATUS_STOPPED


def _inspect(server: Server) -> dict[str, Any]:
    engine = Engine.connect()
    attributes: dict[str, Any] = engine.native.containers.get(server.container_id).attrs  # type: ignore[attr-defined]
    engine.close()
    return attributes


def end(pids: Sequence[int]) -> None:
    """Kill these processes, those that a failed test left."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def as_ordinary_user() -> tuple[str, ...]:
    """Return the words before a command that make it an ordinary user's, with the same files.

    In a user namespace root is user 1000: it may do no more than that user, and still owns what it owned.
    """
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()


def without_capabilities() -> tuple[str, ...]:
    """Return the words before a command that make it mind permissions: root may write everywhere."""
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
