"""Docker Compose: the one of this machine, else Debian's signed package, unpacked privately."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from labkit.programs import debian
from labkit.programs.unpacked import fetch_once

__all__ = ["command", "fetch"]

FOLDER = f"docker-compose-{debian.SUITE}"


def fetch() -> None:
    """Fetch the package unless this machine has a Compose."""
    if not _is_here():
        _unpacked()


def command() -> list[str]:
    """Return the words that run Compose."""
    if _is_here():
        return ["docker", "compose"]
    found = (path for path in _unpacked().rglob("docker-compose") if path.is_file())
    program = next(path for path in found if os.access(path, os.X_OK))
    return [str(program)]


def _is_here() -> bool:
    try:
        done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _unpacked() -> Path:
    def fill(scratch: Path, home: Path) -> None:
        debian.unpack(["docker-compose"], debian.is_library, scratch, home, print)

    return fetch_once(FOLDER, fill)
