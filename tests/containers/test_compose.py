"""docker-compose.yml: valid, on loopback only, and really started with the lab using it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import Lab
from labkit.brokers import BROKERS
from labkit.servers.engine import Engine
from labkit.servers.ports import free_ports
from tests.conftest import require_engine
from tests.containers import compose_program, standins

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
BROKER_OF = {name: re.sub(r"-\d$", "", name) for name in SERVICES}
PROJECT = "broker-lab-test"
PORTS = (
    *("NATS", "NATS_MONITOR", "RABBITMQ", "RABBITMQ_MANAGEMENT", "REDIS", "KAFKA"),
    *(f"{broker}_{node}" for broker in ("NATS", "RABBITMQ", "KAFKA") for node in (1, 2, 3)),
)

every_service = pytest.mark.parametrize("name", SERVICES)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@every_service
def test_every_port_is_open_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@every_service
def test_every_service_has_a_profile_a_limit_and_a_pinned_image(name: str) -> None:
    service = SERVICES[name]
    assert set(service["profiles"]) <= {"core", "consoles", "monitoring", "cluster"}
    assert service["mem_limit"]
    assert re.search(r":v?\d+\.\d+", service["image"])


@pytest.mark.parametrize("name", [name for name in SERVICES if BROKER_OF[name] in BROKERS])
def test_a_broker_is_checked_keeps_its_data_and_has_the_labs_image(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == standins.tag_of(BROKER_OF[name])
    assert service["healthcheck"]["test"]
    assert len(service["volumes"]) == 1
    assert not service["volumes"][0].startswith((".", "/")), "a named volume"


def compose(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `scripts/compose.py`, and return what it said. Raises ``AssertionError`` if it failed."""
    command = [sys.executable, "scripts/compose.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def own_project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project of the test's own, on free ports, of which nothing is left."""
    require_engine()
    monkeypatch.setenv("COMPOSE", " ".join(compose_program.command()))
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", PROJECT)
    for name, port in free_ports(PORTS).items():
        monkeypatch.setenv(f"{name}_PORT", str(port))
    yield
    compose("down", "--volumes")
    assert things_of_project() == []


def things_of_project() -> list[Any]:
    engine = Engine.connect()
    ours = {"filters": {"label": f"com.docker.compose.project={PROJECT}"}}
    native = engine.native
    containers = native.containers.list(all=True, **ours)
    found = [*containers, *native.volumes.list(**ours), *native.networks.list(**ours)]
    engine.close()
    return found


@pytest.mark.timeout(400)
async def test_the_lab_uses_the_brokers_that_it_starts(
    own_project: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = compose("up", "core").stdout
    lines = dict(re.findall(r"export (LABKIT_\w+_URL)=(\S+)", said))
    assert set(lines) == {f"LABKIT_{broker.upper()}_URL" for broker in BROKERS}
    for variable, url in lines.items():
        monkeypatch.setenv(variable, url)
    async with await Lab.start() as lab:
        assert {server.how for server in lab.servers.values()} == {"external"}
        assert {server.url for server in lab.servers.values()} == set(lines.values())
        await lab.nats.subject("orders").publish(1)


@pytest.mark.timeout(400)
def test_each_cluster_comes_up_with_three_nodes(own_project: None) -> None:
    compose("up", "cluster")
    assert int(asked("nats-1", "wget -q -O - http://127.0.0.1:8222/routez", r'"num_routes": *(\d+)')) >= 2
    running = "rabbitmqctl --quiet cluster_status --formatter json"
    assert (
        len(re.findall("rabbit@rabbitmq-", asked("rabbitmq-1", running, r'"running_nodes":\[(.*?)\]'))) == 3
    )
    for node in (1, 2, 3):
        assert asked(f"kafka-{node}", "nc -w 1 127.0.0.1 9092 </dev/null && echo open", "(open)") == "open"


def asked(service: str, command: str, pattern: str) -> str:
    """Run a command in a service's container, and return what the pattern finds in its answer."""
    words = [*compose_program.command(), "--file", str(FILE), "--profile", "cluster", "exec", "-T", service]
    done = subprocess.run(
        [*words, "sh", "-c", command], capture_output=True, text=True, env=os.environ, check=False
    )
    found = re.search(pattern, done.stdout)
    assert found, done.stdout + done.stderr
    return found[1]
