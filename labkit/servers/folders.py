"""The folders of labs: each has one guardian, which holds its lock for as long as the lab lives."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from labkit.errors import FolderUnusable, LabError
from labkit.home import labs_folder
from labkit.servers.leftovers import remove_marked

__all__ = [
    "claim",
    "is_in_use",
    "lab_folder",
    "labs",
    "read_brokers",
    "running_labs",
    "sweep",
    "write_brokers",
]

SWEEPING = ".sweeping"
LOCK_FILE = "lock"
KEEP_FILE = "keep"
BROKERS_FILE = "brokers.json"
NAME = re.compile(r"[\w.-]{1,60}")


def lab_folder(name: str) -> Path:
    """Return the folder of the lab of this name."""
    if not NAME.fullmatch(name) or name.startswith("."):
        raise LabError(
            f"{name!r} is no name for a lab.", remedy="letters, digits, dot, dash and underscore; 60 at most"
        )
    return labs_folder() / name


def labs() -> Iterator[Path]:
    """Yield the folder of every lab there is, running or kept."""
    if labs_folder().is_dir():
        yield from sorted(path for path in labs_folder().iterdir() if path.is_dir())


@contextmanager
def claim(name: str | None, *, keep: bool) -> Iterator[tuple[Path, int]]:
    """Give a lab's folder and the descriptor that holds its lock, for a guardian to take over.

    Raises ``FolderUnusable`` if it cannot be written, or if a lab runs there.
    """
    name = name or f"unnamed-{os.getpid()}-{secrets.token_hex(3)}"
    folder = lab_folder(name)
    try:
        labs_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(labs_folder() / SWEEPING):
            sweep()
            folder.mkdir(exist_ok=True)
            lock = _lock(folder, name)  # before another lab may sweep
    except OSError as error:
        raise FolderUnusable(
            f"The labs' folder {labs_folder()} cannot be written: {error.strerror or error}.",
            remedy="make it writable and leave room there, or set LABKIT_HOME to a folder that you own",
        ) from error
    try:
        if keep:
            (folder / KEEP_FILE).touch()
        yield folder, lock
    finally:
        os.close(lock)


def _lock(folder: Path, name: str) -> int:
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise FolderUnusable(
            f"A lab named {name!r} is running already.",
            remedy=f"`labkit down --name {name}`, `Lab.attach({name!r})`, or another name",
        ) from error
    return lock


def is_in_use(folder: Path) -> bool:
    """Return whether a lab runs in this folder."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def running_labs() -> list[Path]:
    """Return the folder of every lab that runs."""
    if not labs_folder().is_dir():
        return []
    with FileLock(labs_folder() / SWEEPING):  # looking takes the lock for a moment
        return [folder for folder in labs() if is_in_use(folder)]


def sweep() -> None:
    """Remove what labs left that ended without their guardian: containers, and folders not to be kept."""
    for folder in labs():
        if not is_in_use(folder):
            _sweep_one(folder, keep=(folder / KEEP_FILE).exists())


def _sweep_one(folder: Path, *, keep: bool) -> None:
    try:
        remove_marked(folder, keep=keep)
    except Exception:
        return  # its engine does not answer now: the next lab tries again
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def read_brokers(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is written about the brokers of a lab, by name."""
    try:
        told: dict[str, dict[str, Any]] = json.loads((folder / BROKERS_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return told


def write_brokers(folder: Path, brokers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down the brokers of a lab for whoever attaches, or looks."""
    scratch = folder / f"{BROKERS_FILE}.partial"
    scratch.write_text(json.dumps(brokers))
    scratch.rename(folder / BROKERS_FILE)
