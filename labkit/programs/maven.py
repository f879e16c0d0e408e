"""Programs from Maven artifacts: a committed list of jars with their SHA-256, fetched and checked.

The list (``jars.toml``) names group, artifact, version and hash, and no address; ``jgo``'s Maven client
knows where Maven artifacts are. A jar whose hash differs is refused before anything uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import InstallFailed

__all__ = ["Jar", "fetch", "read_list", "resolve", "write_list"]

THREADS = 8
TIMEOUT_SECONDS = 60

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, order=True)
class Jar:
    """One artifact, exactly."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def read_list(path: Path) -> tuple[Jar, ...]:
    """Return the jars listed in a ``jars.toml``."""
    return tuple(Jar(**entry) for entry in tomllib.loads(path.read_text())["jar"])


def write_list(path: Path, jars: Iterable[Jar]) -> None:
    """Write a ``jars.toml``, sorted."""
    entries = (
        f'[[jar]]\ngroup = "{jar.group}"\nartifact = "{jar.artifact}"\n'
        f'version = "{jar.version}"\nsha256 = "{jar.sha256}"\n'
        for jar in sorted(jars)
    )
    path.write_text(
        "# Made by `make lock`. Names and hashes only: the Maven client knows the addresses.\n\n"
        + "\n".join(entries)
    )


def fetch(jars: Iterable[Jar], into: Path, say: Say) -> None:
    """Put every jar into ``into``, flat, each checked against its hash.

    Raises ``InstallFailed`` naming the first jar that could not be had, or is not the one that was listed.
    """
    jars = tuple(jars)
    say(f"downloading {len(jars)} jars")
    into.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda jar: _fetch_one(jar, into), jars))
    shutil.rmtree(into / ".cache")


def _fetch_one(jar: Jar, into: Path) -> None:
    try:
        path = _download(jar.group, jar.artifact, jar.version, into / ".cache")
    except OSError as error:
        full = error.errno == 28
        raise InstallFailed(
            "The disk is full." if full else f"{jar} could not be fetched: {_reason(error)}.",
            remedy="make 500 MB of room and run it again" if full else "check the network and run it again",
        ) from error
    except Exception as error:
        # jgo raises what its HTTP library raises; all of it means that the jar is not here.
        raise InstallFailed(
            f"{jar} could not be fetched: {_reason(error)}.", remedy="check the network and run it again"
        ) from error
    found = _sha256(path)
    if found != jar.sha256:
        path.unlink()
        raise InstallFailed(
            f"{jar} is not the file that was listed: SHA-256 {found[:12]}..., not {jar.sha256[:12]}...",
            remedy="run it again; if it stays so, somebody between you and the archive changes files",
        )
    path.rename(into / jar.file)


def _reason(error: Exception) -> str:
    """Say in a few words what an HTTP library says in three lines."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the archive's certificate is not trusted here (behind a proxy, set SSL_CERT_FILE)"
    if any(words in text for words in ("Max retries", "NameResolution", "unreachable", "timed out")):
        return "there is no way to the archive"
    return text or type(error).__name__


def _download(group: str, artifact: str, version: str, cache: Path) -> Path:
    from jgo.maven import MavenContext

    if "SSL_CERT_FILE" in os.environ:  # the usual name; jgo's HTTP library reads another one
        os.environ.setdefault("REQUESTS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
    context = MavenContext(repo_cache=cache, timeout=TIMEOUT_SECONDS)
    component = context.project(group, artifact).at_version(version)
    return Path(component.artifact(packaging="jar").resolve())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve(coordinates: Iterable[str], cache: Path) -> tuple[Jar, ...]:
    """Return the jars that ``group:artifact:version`` coordinates need at run time, downloaded and hashed.

    Takes seconds of processor time; it makes the list that is committed, and is not part of an install.
    """
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache, timeout=TIMEOUT_SECONDS)
    inputs = [context.create_dependency(coordinate) for coordinate in coordinates]
    direct, transitive = context.resolver.resolve(inputs)
    needed = [one.artifact for one in (*direct, *transitive) if one.scope not in ("test", "provided")]
    return tuple(
        sorted(Jar(one.groupId, one.artifactId, one.version, _sha256(one.resolve())) for one in needed)
    )
