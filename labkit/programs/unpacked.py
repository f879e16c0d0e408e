"""The lab's folder of fetched programs: each appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from labkit.errors import InstallFailed
from labkit.home import programs_folder

__all__ = ["fetch_once"]

LOCK_SECONDS = 600.0


def fetch_once(name: str, fill: Callable[[Path, Path], None]) -> Path:
    """Return the folder ``name`` of fetched programs; if it is not there, have ``fill`` make it.

    ``fill(scratch, home)`` fills a scratch folder, which is then moved to ``home`` in one step. So an
    interrupted install leaves nothing that looks finished, and two at once fetch once.
    """
    home = programs_folder() / name
    if home.is_dir():
        return home
    try:
        programs_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(programs_folder() / f"{name}.lock", timeout=LOCK_SECONDS):
            if not home.is_dir():
                _fill_and_move(home, fill)
    except OSError as error:
        raise _unusable(error) from error
    return home


def _fill_and_move(home: Path, fill: Callable[[Path, Path], None]) -> None:
    scratch = home.with_name(f"{home.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        fill(scratch, home)
        scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unusable(error: OSError) -> InstallFailed:
    if error.errno == 28:
        return InstallFailed("The disk is full.", remedy="make 500 MB of room and run it again")
    return InstallFailed(
        f"The lab's folder {programs_folder()} cannot be written: {error.strerror or error}.",
        remedy="make it writable, or set LABKIT_HOME to a folder you own",
    )
