"""RabbitMQ 4 with its Erlang: one that is here and new enough, else Debian's packages, unpacked privately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.home import programs_folder
from labkit.programs import debian
from labkit.programs.found import as_version, choose, executables, source_of
from labkit.programs.program import Candidate, Program
from labkit.programs.unpacked import fetch_once

__all__ = ["REMEDY", "candidates", "find", "from_debian", "install"]

MINIMUM = "4.0"
FOLDER = f"rabbitmq-{debian.SUITE}"
REMEDY = (
    "labkit install rabbitmq (Debian), brew install rabbitmq (macOS), or conda env create -f environment.yml"
)


def candidates() -> Iterator[Candidate]:
    """Yield each place a RabbitMQ may be, best first."""
    for server in executables("rabbitmq-server"):
        source = source_of(server)
        home = next((folder for folder in _homes(server) if _version(folder)), None)
        erlang = _erlang_on_path()
        if home is None:
            yield Candidate(f"{source} {server}", problem="its plugins folder was not found")
        elif erlang is None:
            yield Candidate(f"{source} {home}", problem="no Erlang (`erl`) beside it or on PATH")
        else:
            yield _judge(home, erlang, source)
    unpacked = programs_folder() / FOLDER / "usr" / "lib"
    home = next(unpacked.glob("rabbitmq/lib/rabbitmq_server-*"), None)
    if home is None:
        yield Candidate(debian.SOURCE, problem="not fetched yet")
    else:
        yield _judge(home, unpacked / "erlang", debian.SOURCE)


def _homes(server: Path) -> Iterator[Path]:
    """Yield where the installation of a ``rabbitmq-server`` script may be: Debian, Homebrew, conda."""
    yield server.parent.parent
    yield server.parent.parent / "lib" / "rabbitmq"
    yield from sorted(server.parent.parent.glob("lib/rabbitmq/lib/rabbitmq_server-*"), reverse=True)
    yield from sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"), reverse=True)


def _version(home: Path) -> str:
    """Return the version of an installation by its core plugin's name, empty if it is none."""
    core = next(home.glob("plugins/rabbit-[0-9]*"), None)
    return core.name.removeprefix("rabbit-").removesuffix(".ez") if core else ""


def _erlang_on_path() -> Path | None:
    roots = (erl.parent.parent for erl in executables("erl"))
    homes = (home for root in roots for home in (root, root / "lib" / "erlang"))
    return next((home for home in homes if any(home.glob("erts-*"))), None)


def _judge(home: Path, erlang: Path, source: str) -> Candidate:
    version = _version(home)
    if as_version(version) < as_version(MINIMUM):
        return Candidate(f"{source} {home}", problem=f"version {version or 'unknown'}, needs {MINIMUM}")
    return Candidate(
        source, Program("rabbitmq", "rabbitmq-server", version, source, home, {"erlang": erlang})
    )


def find() -> Program:
    """Return the program to run. Raises ``ProgramMissing``."""
    return choose("rabbitmq", candidates(), REMEDY)


def install(say: Callable[[str], None]) -> Program:
    """Fetch Debian's packages unless one that is here fits; elsewhere say what to type."""
    here = any(one.program and one.source != debian.SOURCE for one in candidates())
    if not here and debian.is_available():
        from_debian(say)
    return find()


def from_debian(say: Callable[[str], None]) -> Path:
    """Return the folder of Debian's packages, fetched unless it is there."""
    return fetch_once(FOLDER, _fill(say))


def _fill(say: Callable[[str], None]) -> Callable[[Path, Path], None]:
    def fill(scratch: Path, home: Path) -> None:
        debian.unpack(["rabbitmq-server"], _is_needed, scratch, home, say)

    return fill


def _is_needed(package: str) -> bool:
    return package.startswith("erlang-") or debian.is_library(package)
