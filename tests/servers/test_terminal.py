"""``labkit up``, ``status`` and ``down`` as a learner types them, each a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit.errors import NotRunning
from labkit.home import labs_folder
from labkit.servers import Fleet, State
from labkit.servers.engine import Engine
from labkit.servers.folders import read_brokers
from labkit.servers.ports import is_taken
from tests.conftest import require
from tests.servers.machine import HOW, engine_things_of, is_gone, is_listening, processes_in
from tests.support import until

Labkit = Callable[..., subprocess.CompletedProcess[str]]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", *words],
        env={**os.environ, "COLUMNS": "250"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def labkit(home: Path) -> Iterator[Labkit]:
    """The command; whatever stays when the test is over is taken down."""
    require("nats")
    require("redis")
    yield run
    if labs_folder().is_dir():
        for folder in labs_folder().iterdir():
            if folder.is_dir():
                run("down", "--name", folder.name)


def pids_of(name: str) -> dict[str, int]:
    return {broker: told["pid"] for broker, told in read_brokers(labs_folder() / name).items()}


def freeze(told: dict[str, Any]) -> None:
    """Freeze a broker by other means than the lab's."""
    if HOW == "container":
        engine = Engine.connect()
        engine.native.containers.get(told["container"]).pause()
        engine.close()
    else:
        psutil.Process(told["pid"]).suspend()


def test_up_prints_addresses_and_ends_while_the_brokers_stay(labkit: Labkit) -> None:
    done = labkit("up", "nats", "redis")
    assert done.returncode == 0, done.stderr
    ports = [int(port) for port in re.findall(r"(?:nats|redis)://127\.0\.0\.1:(\d+)", done.stdout)]
    assert len(ports) == 2
    assert all(is_listening(port) for port in ports)
    assert "labkit down" in done.stdout
    assert not any(is_gone(pid) for pid in pids_of("lab").values())


def test_status_shows_what_runs(labkit: Labkit) -> None:
    labkit("up", "nats", "redis")
    done = labkit("status")
    assert done.returncode == 0, done.stderr
    for broker, told in read_brokers(labs_folder() / "lab").items():
        row = next(line for line in done.stdout.splitlines() if f" {broker} " in line)
        for shown in (str(told["pid"]), told["url"], told["version"], "running", "MiB"):
            assert shown in row


def test_status_shows_whole_addresses_in_a_narrow_terminal(
    labkit: Labkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    labkit("up", "nats")
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "status"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "…" not in done.stdout


def test_status_tells_a_paused_and_an_ended_broker(labkit: Labkit) -> None:
    labkit("up", "nats", "redis")
    pids = pids_of("lab")
    freeze(read_brokers(labs_folder() / "lab")["nats"])
    redis = psutil.Process(pids["redis"])
    redis.kill()
    psutil.wait_procs([redis])
    lines = labkit("status").stdout.splitlines()
    assert "paused" in next(line for line in lines if " nats " in line)
    assert "ended" in next(line for line in lines if " redis " in line)


def test_status_without_a_lab_says_how_to_start_one(labkit: Labkit) -> None:
    done = labkit("status")
    assert done.returncode == 0
    assert done.stdout == "No lab is running. Start one: labkit up\n"


async def test_another_process_finds_the_brokers_and_may_kill_and_restart_them(labkit: Labkit) -> None:
    labkit("up", "nats", "redis")
    pids = pids_of("lab")
    fleet = await Fleet.attach("lab")
    try:
        assert {broker: server.pid for broker, server in fleet.servers.items()} == pids
        assert {server.state for server in fleet.servers.values()} == {State.RUNNING}
        redis = fleet.servers["redis"]
        await redis.kill()
        assert redis.state is State.DEAD
        assert is_gone(pids["redis"])
        await redis.restart()
        assert redis.state is State.RUNNING
        assert is_listening(redis.ports["client"])
    finally:
        await fleet.close()
    assert is_listening(redis.ports["client"])
    assert not is_gone(pids["nats"])


async def test_status_shows_the_process_of_a_broker_that_was_restarted(labkit: Labkit) -> None:
    labkit("up", "nats")
    fleet = await Fleet.attach("lab")
    try:
        await fleet.servers["nats"].restart()
        pid = fleet.servers["nats"].pid
    finally:
        await fleet.close()
    row = next(line for line in labkit("status").stdout.splitlines() if " nats " in line)
    assert str(pid) in row
    assert "running" in row


async def test_a_broker_that_was_killed_while_nobody_looked_is_found_not_running(labkit: Labkit) -> None:
    labkit("up", "nats")
    nats = psutil.Process(pids_of("lab")["nats"])
    nats.kill()
    psutil.wait_procs([nats])
    fleet = await Fleet.attach("lab")
    try:
        assert fleet.servers["nats"].state in (State.STOPPED, State.DEAD)
        await fleet.servers["nats"].start()
        assert is_listening(fleet.servers["nats"].ports["client"])
    finally:
        await fleet.close()


async def test_attaching_to_no_lab_says_how_to_start_one(home: Path) -> None:
    with pytest.raises(NotRunning, match="No lab named 'lab'") as caught:
        await Fleet.attach("lab")
    assert caught.value.remedy == "labkit up"


def test_down_leaves_no_process_and_no_folder(labkit: Labkit, home: Path) -> None:
    labkit("up", "nats", "redis")
    pids = pids_of("lab").values()
    done = labkit("down")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The lab 'lab' is down.\n"
    assert all(is_gone(pid) for pid in pids)
    assert processes_in(home) == []
    assert not (labs_folder() / "lab").exists()


def test_down_without_a_lab_fails_with_a_sentence(labkit: Labkit) -> None:
    done = labkit("down")
    assert done.returncode == 1
    assert done.stderr == "labkit: No lab named 'lab' stays on this machine.\n  Try: labkit up\n"


def test_up_twice_says_that_it_is_running(labkit: Labkit) -> None:
    labkit("up", "nats")
    pids = pids_of("lab")
    done = labkit("up", "nats")
    assert done.returncode == 1
    assert "'lab' is running already" in done.stderr
    assert "labkit down" in done.stderr
    assert pids_of("lab") == pids
    assert not is_gone(pids["nats"])


def test_labs_of_different_names_are_up_side_by_side(labkit: Labkit) -> None:
    labkit("up", "nats", "--name", "one")
    labkit("up", "nats", "--name", "two")
    assert labkit("down", "--name", "one").returncode == 0
    assert not (labs_folder() / "one").exists()
    assert not is_gone(pids_of("two")["nats"])


def test_standard_ports_are_those_everybody_knows(labkit: Labkit) -> None:
    if is_taken(4222) or is_taken(8222):
        pytest.skip("somebody else listens on 4222 or 8222")
    done = labkit("up", "nats", "--standard-ports")
    assert done.returncode == 0, done.stderr
    assert "nats://127.0.0.1:4222" in done.stdout
    assert is_listening(4222)


def test_a_kept_lab_leaves_its_folder_when_it_is_taken_down(labkit: Labkit, home: Path) -> None:
    labkit("up", "redis", "--keep")
    assert labkit("down").returncode == 0
    assert processes_in(home) == []
    if HOW == "container":
        assert len(engine_things_of(home)) == 1, "the volume with its data"
    else:
        assert (labs_folder() / "lab" / "redis" / "appendonlydir").is_dir()


def test_an_unknown_broker_is_refused(labkit: Labkit, home: Path) -> None:
    done = labkit("up", "nats", "hare")
    assert done.returncode == 1
    assert "There is no broker 'hare'" in done.stderr
    assert processes_in(home) == []


async def test_a_process_hears_what_another_one_does_to_a_broker(labkit: Labkit) -> None:
    labkit("up", "redis")
    acting, watching = await Fleet.attach("lab"), await Fleet.attach("lab")
    heard: list[State] = []
    watched = watching.servers["redis"]
    watched.on_change(lambda server: heard.append(server.state))
    try:
        await acting.servers["redis"].kill()
        await acting.servers["redis"].restart()
        await until(lambda: State.RUNNING in heard)
        assert heard == [State.DEAD, State.STARTING, State.RUNNING]
        assert watched.pid == acting.servers["redis"].pid
        await watched.pause()
        await until(lambda: acting.servers["redis"].state is State.PAUSED)
        await watched.resume()
    finally:
        await acting.close()
        await watching.close()
