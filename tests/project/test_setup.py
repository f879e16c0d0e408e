"""The set-up, run for real in scratch checkouts, mostly to see how it fails. Needs the network, as it does.

The scratch checkouts pin a handful of packages instead of all, so that a run takes seconds.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements-setup.lock")
FEW = ("filelock", "platformdirs")
PYTHON = getattr(sys, "_base_executable", sys.executable)

# Runs setup.py as `python setup.py` would, after a line that changes what it finds.
PRETEND = """\
import os, runpy, sys
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
{change}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
TOO_OLD = "sys.version_info = (3, 9, 2, 'final', 0)"
NO_VENV = "sys.modules['ensurepip'] = None"


def copy_checkout(to: Path) -> Path:
    """Copy what set-up needs of this checkout, with locks that pin a few packages only."""
    to.mkdir(parents=True)
    for folder in ("scripts", "labkit"):
        shutil.copytree(ROOT / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, to)
    for lock in ("requirements.lock", "requirements-test.lock"):
        (to / lock).write_text("".join(entry(lock, name) for name in FEW))
    return to


def entry(lock: str, name: str) -> str:
    """Return one package's lines of a lock."""
    start = (ROOT / lock).read_text().split(f"\n{name}==", 1)[1]
    lines = start.splitlines()
    hashes = [line.rstrip("\\ ") for line in lines if line.startswith("    --hash")]
    first = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    return f"{name}=={lines[0]}\n" + " \\\n".join(hashes[:first]) + "\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout that was set up once."""
    checkout = copy_checkout(tmp_path_factory.mktemp("finished") / "checkout")
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    return checkout


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections as long as the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def command(checkout: Path, change: str = "") -> list[str]:
    script = str(checkout / "scripts" / "setup.py")
    start = [PYTHON, "-c", PRETEND.format(change=change)] if change else [PYTHON]
    return [*start, script, "--python-only"]


def set_up(
    checkout: Path, change: str = "", prefix: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *command(checkout, change)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed set-up printed as its reason."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Set-up: ")
    return lines[0]


def imports_labkit(checkout: Path) -> bool:
    code = "import labkit, filelock; print(labkit.__file__)"
    found = subprocess.run(
        [checkout / ".venv" / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    return found.stdout.strip() == str(checkout / "labkit" / "__init__.py")


def test_it_makes_an_environment_with_the_lab_in_it(finished: Path) -> None:
    assert imports_labkit(finished)
    assert (finished / ".venv" / "bin" / "labkit").is_file()


def test_a_second_run_does_nothing(finished: Path) -> None:
    before = files_of(finished / ".venv")
    done = set_up(finished)
    assert done.returncode == 0
    assert [line.split()[2:] for line in done.stdout.splitlines()] == [["set-up", "done"]]
    assert files_of(finished / ".venv") == before


def files_of(folder: Path) -> Mapping[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_changed_lock_is_installed(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text(entry("requirements.lock", "platformdirs"))
    assert set_up(checkout).returncode == 0
    assert not imports_labkit(checkout)
    (checkout / "requirements.lock").write_text(entry("requirements.lock", "filelock"))
    done = set_up(checkout)
    assert "making .venv" not in done.stdout
    assert imports_labkit(checkout)


def test_a_killed_run_is_noticed_and_repaired(checkout: Path) -> None:
    with subprocess.Popen(command(checkout), start_new_session=True, stdout=subprocess.PIPE) as first:
        while not (checkout / ".venv" / "setup-unfinished").exists():
            assert first.poll() is None
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    assert "cut off" in done.stdout
    assert imports_labkit(checkout)


def test_an_interrupted_run_says_how_to_go_on(checkout: Path) -> None:
    with subprocess.Popen(
        command(checkout), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (checkout / ".venv" / "setup-unfinished").exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "Set-up: stopped; run the same command again to go on."


def test_a_checkout_that_was_moved_gets_a_new_environment(checkout: Path) -> None:
    assert set_up(checkout).returncode == 0
    moved = checkout.rename(checkout.with_name("elsewhere"))
    done = set_up(moved)
    assert done.returncode == 0, done.stderr
    assert "anew" in done.stdout
    assert imports_labkit(moved)


def test_every_python_since_3_6_can_read_the_first_file() -> None:
    ast.parse((ROOT / "scripts" / "setup.py").read_text(), feature_version=(3, 6))


def test_a_python_that_is_too_old_is_named(checkout: Path, tmp_path: Path) -> None:
    said = sentence(set_up(checkout, TOO_OLD, PATH=str(tmp_path)))
    assert "needs Python 3.11 or newer" in said
    assert "is 3.9" in said
    assert "make PYTHON=" in said


def test_a_newer_python_on_path_is_used_instead_of_one_too_old(checkout: Path, tmp_path: Path) -> None:
    for name, text in (("python3.13", "exit 127"), ("python3.12", f'exec "{PYTHON}" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = set_up(checkout, TOO_OLD, PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert imports_labkit(checkout)


def test_a_python_without_venv_says_what_to_install(checkout: Path) -> None:
    said = sentence(set_up(checkout, NO_VENV))
    assert "no `venv` module" in said
    assert "apt-get install python3-venv" in said
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("of", ["PIP", "UV"])
def test_no_network_is_said_so(checkout: Path, tmp_path: Path, closed_port: int, of: str) -> None:
    nowhere = {
        f"{of}_INDEX_URL": f"http://127.0.0.1:{closed_port}/simple",
        f"{of}_CACHE_DIR": str(tmp_path / "cache"),
        f"{of}_FIND_LINKS": "",
        f"{of}_NO_INDEX": "",
    }
    said = sentence(set_up(checkout, **nowhere))
    assert "no network" in said
    assert "run it again" in said


def test_a_folder_that_cannot_be_written_is_named(checkout: Path) -> None:
    # Root may write everywhere, unless its capabilities are taken away.
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    checkout.chmod(0o555)
    try:
        said = sentence(set_up(checkout, prefix=prefix))
    finally:
        checkout.chmod(0o755)
    assert f"{checkout} is not writable" in said
    assert "chown" in said


def test_a_package_that_is_not_the_pinned_one_is_refused(checkout: Path) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(f"filelock==3.16.0 --hash=sha256:{'0' * 64}\n")
    said = sentence(set_up(checkout))
    assert "installing packages failed" in said
    assert not (checkout / ".venv" / "setup-installed").exists()
