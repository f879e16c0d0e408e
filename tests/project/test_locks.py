"""The lock files: what pyproject.toml asks for, pinned, each with its hashes, from nowhere in particular."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DATA = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = DATA["project"]
LAB, TEST, SETUP = "requirements.lock", "requirements-test.lock", "requirements-setup.lock"
BENCH = "requirements-bench.lock"
every_lock = pytest.mark.parametrize("lock", [LAB, TEST, SETUP, BENCH])

# Hosts that serve packages, or tell where they are. Written in two halves, so that this file passes too.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "repo1.maven" + ".org",
    "maven.apache" + ".org",
    "repo.maven" + ".apache",
    "anaconda" + ".org",
    "registry.npm" + "js.org",
    "deb.debian" + ".org",
    "security.debian" + ".org",
    "archive.ubuntu" + ".com",
]


@cache
def pins(lock: str) -> list[str]:
    """Return the lock's entries, each in one line without its comments."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / lock).read_text())
    return text.replace("\\\n", " ").splitlines()


def requirement_of(entry: str) -> Requirement:
    return Requirement(entry.split(" --hash", 1)[0].strip())


@cache
def versions(lock: str) -> dict[str, set[str]]:
    """Return package -> version of each entry (two where they differ by platform)."""
    found: dict[str, set[str]] = {}
    for requirement in map(requirement_of, pins(lock)):
        found.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier)[2:])
    return found


def asked(*extras: str) -> list[Requirement]:
    """Return what the project asks for with these extras, its own extras resolved."""
    wanted: list[Requirement] = [Requirement(text) for text in PROJECT["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == PROJECT["name"]:
                wanted += asked(*requirement.extras)
            else:
                wanted.append(requirement)
    return wanted


@every_lock
def test_every_entry_is_one_version_with_its_hashes(lock: str) -> None:
    assert pins(lock)
    for entry in pins(lock):
        assert re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; [^#]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+", entry), (
            entry
        )


@every_lock
def test_no_address_stands_in_it(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", text)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (LAB, asked("all")),
        (TEST, asked("test")),
        (BENCH, asked("bench")),
        (SETUP, [Requirement(text) for text in DATA["dependency-groups"]["setup"]]),
        (SETUP, [Requirement(text) for text in DATA["build-system"]["requires"]]),
    ],
    ids=["lab", "test", "bench", "setup", "build"],
)
def test_it_has_what_the_project_asks_for(lock: str, wanted: list[Requirement]) -> None:
    assert wanted
    for requirement in wanted:
        found = versions(lock).get(canonicalize_name(requirement.name))
        assert found, f"{requirement.name} is not in {lock}: run `make lock`"
        assert all(version in requirement.specifier for version in found), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("lock", [LAB, SETUP, BENCH])
def test_what_is_in_the_test_lock_too_has_the_same_version_there(lock: str) -> None:
    shared = set(versions(lock)) & set(versions(TEST))
    assert shared
    assert {name: versions(lock)[name] for name in shared} == {name: versions(TEST)[name] for name in shared}


def test_the_test_lock_has_everything_the_lab_has() -> None:
    assert set(pins(LAB)) <= set(pins(TEST))


def test_the_bench_lock_has_everything_the_lab_has() -> None:
    assert set(pins(LAB)) <= set(pins(BENCH))


def test_no_file_names_a_package_registry() -> None:
    found = subprocess.run(
        ["git", "grep", "-I", "-l", "-i", "-F", *(part for name in REGISTRIES for part in ("-e", name))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, f"a registry's host stands in {found.stdout or found.stderr}"
