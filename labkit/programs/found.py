"""Programs that are already on this machine: on PATH, in a conda environment, from Homebrew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from labkit.errors import ProgramMissing
from labkit.programs.program import Candidate, Program

__all__ = ["as_version", "choose", "executables", "source_of", "version_of"]

# Where programs live that a desktop's PATH often leaves out; sbin holds servers.
EXTRA_FOLDERS = ("/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin", "/opt/homebrew/sbin", "/usr/sbin")
VERSION = re.compile(r"\d+(?:\.\d+)+")
ANSWER_SECONDS = 10.0


def executables(name: str) -> Iterator[Path]:
    """Yield every executable of this name: on PATH, beside this Python (conda), in the usual folders."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), f"{sys.prefix}/bin", *EXTRA_FOLDERS]
    seen: set[Path] = set()
    for folder in folders:
        found = shutil.which(name, path=folder) if folder else None
        if found and (path := Path(found).resolve()) not in seen:
            seen.add(path)
            yield path


def source_of(path: Path) -> str:
    """Return where an executable comes from, in words."""
    text = str(path)
    if (Path(sys.prefix) / "conda-meta").is_dir() and text.startswith(sys.prefix):
        return "conda environment"
    if "homebrew" in text.lower() or "/Cellar/" in text:
        return "Homebrew"
    return "PATH"


def version_of(argv: list[str]) -> str | None:
    """Return the first version number this command prints, None if it prints none or does not run."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(done.stdout + done.stderr)
    return match.group() if match and done.returncode == 0 else None


def as_version(text: str) -> tuple[int, ...]:
    """Return a version as numbers that compare: "8.0.2" is (8, 0, 2)."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def choose(broker: str, candidates: Iterable[Candidate], remedy: str) -> Program:
    """Return the first program that fits.

    Raises ``ProgramMissing`` that names what was passed over and why, and the command that gets one.
    """
    problems = []
    for candidate in candidates:
        if candidate.program is not None:
            return candidate.program
        problems.append(f"{candidate.source}: {candidate.problem}")
    raise ProgramMissing(
        f"No program for {broker} on this machine ({'; '.join(problems)}).", broker=broker, remedy=remedy
    )
