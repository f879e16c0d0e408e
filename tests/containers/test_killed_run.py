"""A run of tests that is killed leaves nothing with the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.servers.engine import Engine
from labkit.servers.leftovers import LAB_LABEL
from tests.conftest import require_engine
from tests.support import until

ROOT = Path(__file__).parents[2]
RUN = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/contract/test_publish_subscribe.py")


@pytest.fixture
def run(own_home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of the contract tests in containers, with a home of its own."""
    require_engine()
    environment = {**os.environ, "LABKIT_HOW": "container", "LABKIT_HOME": str(own_home)}
    run = subprocess.Popen([*RUN, "-k", "nats"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    yield run
    run.kill()
    run.wait()


def things_below(folder: Path) -> list[Any]:
    """Return the containers, networks and volumes of labs below a folder."""
    engine = Engine.connect()
    ours: dict[str, Any] = {"filters": {"label": LAB_LABEL}}
    containers = engine.native.containers.list(all=True, ignore_removed=True, **ours)
    labelled = [(one, one.labels) for one in containers]
    others = [*engine.native.networks.list(**ours), *engine.native.volumes.list(**ours)]
    labelled += [(one, one.attrs["Labels"]) for one in others]
    engine.close()
    return [one for one, labels in labelled if Path(labels[LAB_LABEL]).is_relative_to(folder)]


async def test_a_killed_test_run_leaves_no_container_network_or_volume(
    run: subprocess.Popen[bytes], own_home: Path
) -> None:
    await until(lambda: len(things_below(own_home)) == 2, 100)  # a container and its volume
    run.kill()
    await until(lambda: things_below(own_home) == [], 60)
