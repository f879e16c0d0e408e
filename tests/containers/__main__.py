"""The tests on real containers: `make test-containers`.

On the Docker of this machine, where there is one that has the official images or can fetch them. Else on a
private engine that ends with the tests (`with_engine`), with stand-ins made from the programs at hand
(`standins.py`); that needs root and some Debian packages, and is what CI does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.brokers import BROKERS
from labkit.errors import LabError
from labkit.servers.engine import Engine
from tests.containers import compose_program, standins

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
WITH_ENGINE = Path(__file__).with_name("with_engine")
TOOLS = ("dockerd", "iptables", "unshare", "setpriv", "ip", "curl")
PACKAGES = "docker.io iptables iproute2 util-linux curl"
PYTEST = (sys.executable, "-m", "pytest", "--quiet", "--timeout=300", "--numprocesses=2")


@dataclass(frozen=True)
class Step:
    """One run of tests, with what the environment says in it."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


IN_CONTAINERS = {"LABKIT_HOW": "container"}
LESSON = "notebooks/01_publish_subscribe.ipynb"
NBVAL = ("--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "--numprocesses=0", LESSON)
EACH = "--ignore=tests/servers/test_process.py"
ONE_BROKER = "not rabbitmq and not redis and not kafka"

STEPS = (
    Step("contract, in containers", ("tests/contract",), IN_CONTAINERS),
    Step("contract, by address", ("tests/contract",), {"LABKIT_TEST_EXTERNAL": "1"}),
    Step("lesson 01, in containers", NBVAL, IN_CONTAINERS),
    Step("engine, compose", ("tests/containers",), IN_CONTAINERS),
)
ALL_SERVERS = (Step("servers, in containers", ("tests/servers",), IN_CONTAINERS),)
QUICK_SERVERS = (
    Step("servers, every broker", ("tests/servers/test_process.py",), IN_CONTAINERS),
    Step("servers, one broker", ("tests/servers", EACH, "-k", ONE_BROKER), IN_CONTAINERS),
)
"""What ends with its owner and how is the same code for every image, so in CI one broker stands for all."""


def main() -> int:
    """Choose the engine, run the steps on it, return 0 if all passed. ``--quick`` is what CI has time for."""
    if "--here" in sys.argv:
        return run_steps()
    if why_not := _why_not_docker():
        print(f"Tests on containers: not on this machine's Docker: {why_not}", flush=True)
        return _run_on_private_engine()
    compose_program.fetch()
    return run_steps()


def run_steps() -> int:
    """Run every step on the engine of ``DOCKER_HOST``."""
    if os.environ.get("LABKIT_PRIVATE_ENGINE"):
        standins.load(Engine.connect())
    servers = QUICK_SERVERS if "--quick" in sys.argv else ALL_SERVERS
    results = [(step, *_run(step)) for step in (*STEPS, *servers)]
    print("\nTests on containers:")
    for step, status, seconds in results:
        print(f"  {step.name:<24} {'passed' if status == 0 else 'FAILED'}  {seconds:.0f} s")
    return 0 if all(status == 0 for _, status, _ in results) else 1


def _run(step: Step) -> tuple[int, float]:
    print(f"\n== {step.name}", flush=True)
    began = time.monotonic()
    required = ",".join([*filter(None, [os.environ.get("LABKIT_REQUIRE")]), "containers"])
    environment = {**os.environ, "LABKIT_REQUIRE": required, **step.environment}
    status = subprocess.call([*PYTEST, *step.arguments], cwd=ROOT, env=environment)
    return status, time.monotonic() - began


def _why_not_docker() -> str:
    """Return why this machine's Docker will not do, "" if it will."""
    try:
        engine = Engine.connect()
        for broker in BROKERS:
            engine.fetch(standins.tag_of(broker), print)
    except LabError as error:
        return error.what
    return ""


def _run_on_private_engine() -> int:
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        need = f"apt-get install {PACKAGES}" if missing else "root"
        print(f"Tests on containers: a private engine needs {need}.", file=sys.stderr)
        return 1 if os.environ.get("LABKIT_REQUIRE") else 0
    standins.fetch()
    compose_program.fetch()
    here = [sys.executable, "-m", "tests.containers", "--here", *sys.argv[1:]]
    return subprocess.call([str(WITH_ENGINE), *here], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
