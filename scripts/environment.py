"""Make the lab's Python environment in .venv, and fetch the brokers; safe to interrupt and run again.

What was done is noted in .venv itself, so that a second run has nothing to do: ``MADE`` names the Python
and the place it was made for, ``INSTALLED`` the pinned set that is in it. ``UNFINISHED`` is there while
something is being changed: if it is found, the last run was cut off, and .venv is made anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tell import Downloads, SetupFailed, Teller, run

__all__ = ["Environment", "main_setup"]

ROOT = Path(__file__).resolve().parent.parent
SETUP_LOCK = "requirements-setup.lock"
LOCKS = {"lab": "requirements.lock", "test": "requirements-test.lock", "bench": "requirements-bench.lock"}
FREE_BYTES = 1_000_000_000
"""What .venv takes with everything the tests need (0.7 GB), and some room."""


def main_setup(arguments: Sequence[str]) -> int:
    """Set up what ``arguments`` ask for; return 0, or 1 after one sentence that says why not."""
    parser = argparse.ArgumentParser(prog="setup.py", description="Set the lab up in .venv.")
    parser.add_argument("--test", action="store_true", help="also what the tests need: tools and a browser")
    parser.add_argument("--bench", action="store_true", help="also what the lab is compared with: FastStream")
    parser.add_argument("--python-only", action="store_true", help="packages only, no brokers and no browser")
    options = parser.parse_args(arguments)
    teller = Teller()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        kind = "test" if options.test else "lab"
        with _alone(ROOT, teller):
            environment = Environment(ROOT)
            environment.bring_up(kind, teller)
            if options.bench:
                environment.add_bench(teller)
        result = "done" if options.python_only else fetch_programs(Environment(ROOT), kind, teller)
    except SetupFailed as failed:
        print(f"Set-up: {failed}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Set-up: {_plain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    teller.say("set-up", result)
    return 0


def fetch_programs(environment: Environment, kind: str, teller: Teller) -> str:
    """Fetch the brokers' programs, and for tests a browser; each says what it does. Return how it went."""
    here = {**os.environ, "LABKIT_BEGAN": str(teller.began)}  # so that their clocks go on from ours
    status = subprocess.call([environment.program("labkit"), "install"], env=here)
    if status not in (0, 1):
        raise KeyboardInterrupt
    fetch = [environment.program("python"), "-m", "tests.browser.fetch"]
    if kind == "test" and subprocess.call(fetch, env=here, cwd=environment.root) != 0:
        raise SetupFailed("the tests have no browser; the line above says how to get one.")
    # A broker that cannot be had does not stop the others: labkit has said which, and how to get it.
    return "done" if status == 0 else "done, but for what is said above"


class Environment:
    """The virtual environment of one checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self._unfinished = self.folder / "setup-unfinished"
        self._made = self.folder / "setup-made"
        self._installed = self.folder / "setup-installed"
        self._bench = self.folder / "setup-bench"

    def program(self, name: str) -> str:
        """Return the path of a program in the environment."""
        return str(self.folder / "bin" / name)

    def bring_up(self, kind: str, teller: Teller) -> None:
        """Make and fill the environment, or whatever of that is still to be done."""
        sound = self._is_sound()
        if sound and self._has(kind):
            return
        self._check_place()
        if not sound:
            self._make(teller)
        self._fill(kind, teller)

    def add_bench(self, teller: Teller) -> None:
        """Install what only the benchmark needs, beside what is there."""
        wanted = self._fingerprint("bench")
        if _read(self._bench) == wanted:
            return
        self._unfinished.touch()
        teller.say("packages", f"adding what the benchmark needs from {LOCKS['bench']}")
        self._install("bench", teller)
        self._bench.write_text(wanted)
        self._unfinished.unlink()

    def _is_sound(self) -> bool:
        """Return whether .venv is whole and runs, with the Python and in the place it was made for."""
        if self._unfinished.exists() or not Path(self.program("python")).exists():
            return False
        noted = _read(self._made)
        return noted == self._identity() if noted else self._identity() != ""

    def _identity(self) -> str:
        """Return which Python the environment runs and where it stands, empty if it does not run."""
        check = "import sys, pip; print(sys.version.split()[0], sys.prefix)"
        done = subprocess.run(
            [self.program("python"), "-c", check], capture_output=True, text=True, check=False
        )
        found = done.stdout.strip() if done.returncode == 0 else ""
        return found if found.endswith(f" {self.folder}") else ""

    def _has(self, kind: str) -> bool:
        """Return whether the pinned set of ``kind``, or the larger one for tests, is installed."""
        installed = _read(self._installed)
        return installed in {self._fingerprint(kind), self._fingerprint("test")}

    def _fingerprint(self, kind: str) -> str:
        files = ("pyproject.toml", SETUP_LOCK, LOCKS[kind])
        return hashlib.sha256(b"\0".join((self.root / file).read_bytes() for file in files)).hexdigest()

    def _check_place(self) -> None:
        """Raise ``SetupFailed`` if this Python or this folder cannot hold an environment."""
        for folder in (self.root, self.folder):
            if folder.exists() and not os.access(folder, os.W_OK):
                raise SetupFailed(
                    f"{folder} is not writable by you: give it to your user (`sudo chown -R $USER {folder}`) "
                    "or clone into a folder of your own."
                )
        if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            raise SetupFailed(
                f"{sys.executable} has no `venv` module to make an environment with: on Debian and Ubuntu "
                "run `sudo apt-get install python3-venv`, then this again."
            )
        free = shutil.disk_usage(self.root).free
        if not self.folder.exists() and free < FREE_BYTES:
            raise SetupFailed(
                f"The disk is full ({free // 1_000_000} MB are free at {self.root}): "
                f"make {FREE_BYTES // 1_000_000} MB of room and run it again."
            )

    def _make(self, teller: Teller) -> None:
        """Make an empty environment with this Python."""
        again = " anew; the last one was cut off or does not run" if self.folder.exists() else ""
        teller.say("python", f"making .venv with Python {sys.version.split()[0]}{again}")
        if self.folder.exists():
            self._unfinished.touch()
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        self._unfinished.touch()
        run([sys.executable, "-m", "venv", str(self.folder)], "making .venv")
        self._made.write_text(self._identity())

    def _fill(self, kind: str, teller: Teller) -> None:
        """Install the pinned set of ``kind``, each package checked by its hash, and the lab itself."""
        self._unfinished.touch()
        self._installed.unlink(missing_ok=True)
        python, uv = self.program("python"), self.program("uv")
        teller.say("packages", f"installing uv, then the pinned set from {LOCKS[kind]}")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--retries=2", "--no-deps"]
        run([*pip, "--require-hashes", "-r", str(self.root / SETUP_LOCK)], "installing uv")
        self._install(kind, teller)
        itself = [uv, "pip", "install", "--python", python]
        itself += ["--no-deps", "--no-build-isolation", "--editable", str(self.root)]
        run(itself, "installing the lab's own package")
        self._installed.write_text(self._fingerprint(kind))
        self._unfinished.unlink()

    def _install(self, kind: str, teller: Teller) -> None:
        """Install the packages of one lock, each checked by its hash."""
        install = [self.program("uv"), "pip", "install", "--python", self.program("python")]
        lock = str(self.root / LOCKS[kind])
        run([*install, "--require-hashes", "-r", lock], "installing packages", Downloads(teller).hear)


@contextmanager
def _alone(root: Path, teller: Teller) -> Iterator[None]:
    """Wait until no other set-up of this checkout is at work, and keep others out."""
    with (root / "scripts" / "setup.py").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            teller.say("set-up", "another set-up is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _plain(error: OSError) -> str:
    """Return one sentence about a file that could not be read or written."""
    return f"{error.filename or 'a file'}: {error.strerror}; mend that and run it again."
