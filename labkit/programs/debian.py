"""Programs from Debian's own signed packages, unpacked into a folder of ours.

Nothing is installed: an apt root of our own (its own lists, cache and an empty status file) downloads the
packages, apt checks their signatures against the distribution's keyring, and ``dpkg-deb`` unpacks them. No
root is needed, no service starts, and deleting the folder removes everything. The archive's address is the
one this machine's apt already uses.

Packages of a newer release need its C library. So every unpacked program is given the unpacked loader and
libraries (``patchelf``), and runs on an older Debian too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from labkit.errors import InstallFailed

__all__ = ["SOURCE", "SUITE", "is_available", "is_library", "unpack"]

SUITE = "trixie"
"""Debian 13, the stable release: RabbitMQ 4.0, Erlang 27, Redis 8.0. Used on Debian 12 too."""

SOURCE = f"Debian {SUITE} packages"

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "dpkg", "dpkg-deb")
APT_SECONDS = 300.0

Say = Callable[[str], None]


def is_available() -> bool:
    """Return whether this is a Debian with apt and the archive's keyring."""
    return all(shutil.which(tool) for tool in TOOLS) and KEYRING.is_file() and bool(_archive())


def is_library(package: str) -> bool:
    """Return whether a package is a shared library a server may need (Debian names them lib*, and zlib1g)."""
    return package.startswith(("lib", "zlib")) and "python" not in package


def unpack(packages: Sequence[str], wanted: Callable[[str], bool], into: Path, home: Path, say: Say) -> None:
    """Unpack ``packages``, and those of their dependencies that are ``wanted`` by name, into ``into``.

    ``home`` is where the caller will move ``into`` when all of it is there: programs name their loader by its
    full path. Raises ``InstallFailed`` with the cause in a sentence.
    """
    apt = _Apt(into.with_name(into.name + ".apt"))
    try:
        apt.update(say)
        names = [name for name in apt.closure(packages) if name in packages or wanted(name)]
        debs = apt.download(names, say)
        say(f"unpacking {len(debs)} packages")
        into.mkdir(parents=True, exist_ok=True)
        for deb in debs:
            _run(["dpkg-deb", "--extract", str(deb), str(into)], dict(os.environ))
    finally:
        shutil.rmtree(apt.root, ignore_errors=True)
    _use_own_libraries(into, home)


class _Apt:
    """An apt that knows nothing of the system but where its archive is and which key signs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        for folder in ("lists/partial", "cache/archives/partial", "parts", "debs"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_archive()} {SUITE} main\n")
        (root / "apt.conf").write_text(
            f'Dir::State "{root}";\n'
            f'Dir::State::Lists "{root}/lists";\n'
            f'Dir::State::status "{root}/status";\n'
            f'Dir::Cache "{root}/cache";\n'
            f'Dir::Etc::SourceList "{root}/sources.list";\n'
            f'Dir::Etc::SourceParts "-";\n'
            f'Dir::Etc::Parts "{root}/parts";\n'
            f'APT::Sandbox::User "";\n'  # the archive folder is ours; root would hand it to the user _apt
            f'Acquire::Languages "none";\n'
            f'Acquire::Retries "2";\n'
            f"APT::Install-Recommends false;\n"
        )
        self._environment = {**os.environ, "APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def update(self, say: Say) -> None:
        say(f"reading Debian {SUITE}'s package lists")
        self._apt("update", "--error-on=any")

    def closure(self, packages: Sequence[str]) -> list[str]:
        """Return the names of ``packages`` and all they depend on."""
        plan = self._apt("--simulate", "install", *packages)
        return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]

    def download(self, names: Iterable[str], say: Say) -> list[Path]:
        names = list(names)
        say(f"downloading {len(names)} Debian packages")
        self._apt("download", *names, cwd=self.root / "debs")
        return sorted((self.root / "debs").glob("*.deb"))

    def _apt(self, *arguments: str, cwd: Path | None = None) -> str:
        return _run(["apt-get", "-q", *arguments], self._environment, cwd)


def _archive() -> str:
    """Return the Debian archive's address as this machine's apt is set up to use it, empty if it is not."""
    if not shutil.which("apt-get"):
        return ""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return next((address for address in targets if address.rstrip("/").endswith("/debian")), "")


def _run(argv: list[str], environment: dict[str, str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv, env=environment, cwd=cwd, capture_output=True, text=True, timeout=APT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise InstallFailed(
            f"`{argv[0]}` gave no answer in {APT_SECONDS:.0f} s.", remedy="check the network and run it again"
        ) from late
    if done.returncode != 0:
        raise _failure(argv[0], done.stderr or done.stdout)
    return done.stdout


def _failure(tool: str, output: str) -> InstallFailed:
    if "No space left" in output or "don't have enough free space" in output:
        return InstallFailed("The disk is full.", remedy="make 500 MB of room and run it again")
    if "Permission denied" in output:
        return InstallFailed(
            f"{tool} cannot write the lab's folder.", remedy="set LABKIT_HOME to one you own"
        )
    reasons = [line for line in output.splitlines() if line.startswith(("E:", "Err:", "W:", "dpkg"))]
    return InstallFailed(
        f"`{tool}` could not get Debian's packages: {reasons[0] if reasons else output.strip()[:200]}",
        remedy="check the network (`apt-get update` must work) and run it again",
    )


def _use_own_libraries(root: Path, home: Path) -> None:
    """Make every program in ``root`` load the libraries beside it, whatever the system's are."""
    libraries = Path("usr", "lib", f"{platform.machine()}-linux-gnu")
    loader = next((root / libraries).glob("ld-linux*.so.*"), None)
    if loader is None:
        return
    patchelf = str(Path(sysconfig.get_path("scripts")) / "patchelf")
    search = f"{home / libraries}:{home / libraries}/systemd"
    for path in root.rglob("*"):
        if (root / libraries) in path.parents or path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.read(18)
        if head[:4] != b"\x7fELF":
            continue
        options = ["--set-rpath", search, "--force-rpath"]
        if ".so" not in path.name:
            options += ["--set-interpreter", str(home / libraries / loader.name)]
        _run([patchelf, *options, str(path)], dict(os.environ))
