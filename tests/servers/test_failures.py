"""How a start fails: each time with the cause in a sentence, what to try, and nothing left running."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from labkit.errors import FolderUnusable, PortTaken, StartFailed
from labkit.home import labs_folder
from labkit.programs.program import Program
from labkit.servers import Fleet, State
from tests.servers.machine import HOW, brokers_in, end, processes_in, without_capabilities

RECIPE = "image" if HOW == "container" else "server"
of_a_process = pytest.mark.skipif(HOW != "process", reason="about programs and folders of this machine")

ODD_NAME = "Käthes Labor 実験 №1 🐇"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of loopback where somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def ports_with(broker: str, client: int) -> dict[str, int]:
    """Return ports for a broker with this one for clients; the others are free."""
    from labkit.servers.ports import free_ports

    names = import_module(f"labkit.brokers.{broker}.{RECIPE}").PORTS
    return {**free_ports(names), "client": client}


async def test_a_standard_port_that_is_taken_is_named(
    broker: str, home: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"labkit.brokers.{broker}.{RECIPE}.PORTS", ports_with(broker, taken_port))
    fleet = await Fleet.open(standard_ports=True)
    try:
        with pytest.raises(PortTaken, match=str(taken_port)) as caught:
            await fleet.start(broker)
        assert caught.value.broker == broker
        assert "standard ports" in caught.value.remedy
        assert brokers_in(home) == []
    finally:
        await fleet.close()


async def test_a_port_taken_in_the_last_moment_is_told_from_the_log(
    broker: str, home: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"labkit.brokers.{broker}.{RECIPE}.PORTS", ports_with(broker, taken_port))
    monkeypatch.setattr("labkit.servers.ports.is_taken", lambda port: False)
    fleet = await Fleet.open(standard_ports=True)
    try:
        with pytest.raises(PortTaken) as caught:
            await fleet.start(broker)
        assert caught.value.log or HOW == "container", "the engine itself refuses the port"
        assert brokers_in(home) == []
    finally:
        await fleet.close()


async def test_another_free_port_is_tried_where_the_port_does_not_matter(
    broker: str, home: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit.servers import fleet as module

    free_ports = module.free_ports
    offers = iter([ports_with(broker, taken_port)])
    monkeypatch.setattr(module, "free_ports", lambda names: next(offers, None) or free_ports(names))
    fleet = await Fleet.open()
    try:
        server = await fleet.start(broker)
        assert server.state is State.RUNNING
        assert server.ports["client"] != taken_port
    finally:
        await fleet.close()


def pretend(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Have the lab find this as redis-server."""
    program = Program("redis", "redis-server", "8.0", "a test", path)
    monkeypatch.setattr("labkit.brokers.redis.program.find", lambda: program)


@of_a_process
async def test_the_last_words_of_a_program_that_fails_are_in_the_error(
    lab: Fleet, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "redis-server"
    script.write_text("#!/bin/sh\necho 'Fatal: the moon is full'\nexit 1\n")
    script.chmod(0o755)
    pretend(monkeypatch, script)
    with pytest.raises(StartFailed, match="ended while it was starting") as caught:
        await lab.start("redis")
    assert caught.value.log == "Fatal: the moon is full"
    assert "Fatal: the moon is full" in str(caught.value)
    assert "labkit doctor" in caught.value.remedy
    assert lab.servers["redis"].state is State.DEAD
    assert brokers_in(home) == []


@of_a_process
async def test_a_program_that_never_answers_is_ended(
    lab: Fleet, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "redis-server"
    script.write_text("#!/bin/sh\necho waiting\nexec sleep 1000\n")
    script.chmod(0o755)
    pretend(monkeypatch, script)
    monkeypatch.setattr("labkit.servers.process.START_SECONDS", 0.5)
    with pytest.raises(StartFailed, match="did not answer in time") as caught:
        await lab.start("redis")
    assert caught.value.log == "waiting"
    assert brokers_in(home) == []


@of_a_process
async def test_a_program_that_is_not_there_is_a_failed_start(
    lab: Fleet, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, tmp_path / "no-such-program")
    with pytest.raises(StartFailed, match="no-such-program") as caught:
        await lab.start("redis")
    assert caught.value.broker == "redis"
    assert lab.servers["redis"].state is State.DEAD
    assert brokers_in(home) == []


@of_a_process
async def test_a_broker_that_failed_to_start_can_be_started_when_the_cause_is_gone(
    lab: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = import_module("labkit.brokers.redis.program").find().path
    script = tmp_path / "redis-server"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    pretend(monkeypatch, script)
    with pytest.raises(StartFailed):
        await lab.start("redis")
    script.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
    assert (await lab.start("redis")).state is State.RUNNING


def test_a_home_that_cannot_be_written_is_named(home: Path, tmp_path: Path) -> None:
    locked = tmp_path / "not yours"
    locked.mkdir(mode=0o555)
    done = subprocess.run(
        [*without_capabilities(), sys.executable, "-m", "labkit", "up", "nats"],
        env={**os.environ, "LABKIT_HOME": str(locked)},
        capture_output=True,
        text=True,
        check=False,
    )
    end([process.pid for process in processes_in(locked)])
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{locked}/labs cannot be written" in done.stderr
    assert "LABKIT_HOME" in done.stderr
    assert "Traceback" not in done.stderr


@of_a_process
async def test_a_brokers_folder_that_cannot_be_made_is_named(broker: str, home: Path) -> None:
    fleet = await Fleet.open()
    try:
        (fleet.folder / broker).write_text("in the way")
        with pytest.raises(FolderUnusable, match=str(fleet.folder / broker)) as caught:
            await fleet.start(broker)
        assert "LABKIT_HOME" in caught.value.remedy
        assert brokers_in(home) == []
    finally:
        await fleet.close()


@pytest.fixture
def small_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A labs' folder on a disk of a megabyte; where nothing may be mounted, one that says it is such."""
    labs = labs_folder()
    labs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(labs)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        yield "mounted"
        end([process.pid for process in processes_in(labs)])
        subprocess.run(["umount", "--lazy", str(labs)], check=True)
    else:
        usage = namedtuple("usage", "total used free")  # what shutil gives
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_000_000, 0, 1_000_000))
        yield "pretended"


@of_a_process
async def test_a_disk_with_too_little_room_is_refused_before_a_broker_starts(
    broker: str, small_disk: str, home: Path
) -> None:
    fleet = await Fleet.open()
    try:
        with pytest.raises(FolderUnusable, match="has only 1 MB free") as caught:
            await fleet.start(broker)
        assert caught.value.broker == broker
        assert "LABKIT_HOME" in caught.value.remedy
        assert brokers_in(home) == []
    finally:
        await fleet.close()


async def test_every_broker_starts_in_a_home_with_spaces_and_letters_of_other_scripts(
    broker: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = home / ODD_NAME
    odd.mkdir()
    (odd / "programs").symlink_to((home / "programs").resolve())
    monkeypatch.setenv("LABKIT_HOME", str(odd))
    fleet = await Fleet.open(name="übung")
    try:
        server = await fleet.start(broker)
        assert server.state is State.RUNNING
        assert fleet.folder == odd / "labs" / "übung"
        await server.kill()
        await server.restart()
        assert server.state is State.RUNNING
    finally:
        await fleet.close()
    assert not fleet.folder.exists()


async def test_a_name_that_is_in_use_says_how_to_end_it(home: Path) -> None:
    first = await Fleet.open(name="shop")
    try:
        with pytest.raises(FolderUnusable, match="'shop' is running already") as caught:
            await Fleet.open(name="shop")
        assert "labkit down --name shop" in caught.value.remedy
        assert first.folder.is_dir()
    finally:
        await first.close()
    again = await Fleet.open(name="shop")
    await again.close()
