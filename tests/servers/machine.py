"""What this machine says about processes and ports, whatever the lab says."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = [
    "IS_LINUX",
    "as_ordinary_user",
    "end",
    "is_gone",
    "is_listening",
    "processes_in",
    "without_capabilities",
]

IS_LINUX = sys.platform == "linux"


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
