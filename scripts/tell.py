"""How the set-up speaks: one line a step with the time since the start, and one sentence if it fails."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence

__all__ = ["Downloads", "SetupFailed", "Teller", "explain", "run"]

DISK_FULL = ("No space left on device", "os error 28", "Disk quota exceeded")
NOT_WRITABLE = ("Permission denied", "os error 13", "Read-only file system", "Operation not permitted")
NO_NETWORK = (
    "Failed to fetch",
    "Request failed after",
    "error sending request",
    "Connection refused",
    "Failed to establish a new connection",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "timed out",
    "Could not fetch URL",
)


class SetupFailed(Exception):
    """The set-up cannot go on; the text is one sentence that says why and what to do."""


class Teller:
    """Says what is being done, and how long it all has taken."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def say(self, what: str, text: str) -> None:
        print(f"  {time.monotonic() - self.began:5.1f} s  {what:<9} {text}", flush=True)


class Downloads:
    """Hears what uv prints, and tells its steps, and how far its downloads are about once a second."""

    STEPS = ("Resolved", "Prepared", "Installed")
    EVERY = 1.0

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._pending: dict[str, str] = {}
        self._done = 0
        self._told = teller.began

    def hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        name, _, size = rest.partition(" ")
        if word in self.STEPS:
            self._teller.say("packages", f"{word.lower()} {rest}")
        elif word == "Downloading":
            self._pending[name] = f"{name} {size}"
        elif word == "Downloaded":
            self._pending.pop(name, None)
            self._done += 1
        if word.startswith("Download") and time.monotonic() - self._told >= self.EVERY:
            self._told = time.monotonic()
            self._teller.say("packages", self._progress())

    def _progress(self) -> str:
        on_the_way = ", ".join(list(self._pending.values())[:3]) or "small ones"
        return f"{self._done} large downloads are here; on the way: {on_the_way}"


def run(argv: Sequence[str], doing: str, hear: Callable[[str], None] | None = None) -> None:
    """Run a program; ``hear`` gets each line as it is printed.

    Raises ``SetupFailed`` with the cause in one sentence; ``doing`` says in it what was being done.
    """
    last: deque[str] = deque(maxlen=200)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        text=True,
        errors="replace",
    )
    try:
        for line in process.stdout or ():
            last.append(line.strip())
            if hear:
                hear(line.strip())
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status != 0:
        raise SetupFailed(explain(list(last), doing, status))


def explain(lines: Sequence[str], doing: str, status: int = 1) -> str:
    """Return one sentence: why a program that printed ``lines`` failed, and the remedy."""
    output = "\n".join(lines)

    def says(signs: Sequence[str]) -> bool:
        return any(sign in output for sign in signs)

    if says(DISK_FULL):
        return f"the disk is full, so {doing} failed: make 1 GB of room and run it again."
    if says(NO_NETWORK):
        return (
            f"no network, so {doing} failed: connect (or set HTTPS_PROXY if you need one) and run it again."
        )
    cause = next((line for line in lines if line.lower().startswith("error")), "")
    if says(NOT_WRITABLE):
        return f"a folder cannot be written, so {doing} failed ({cause}): make it yours and run it again."
    cause = cause or f"exit code {status}"
    return f"{doing} failed ({cause}): run it again, and report it if it stays."
