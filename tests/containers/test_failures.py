"""How a start in a container fails: each time with the cause in a sentence, and nothing left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from labkit import Lab
from labkit.errors import EngineMissing, FolderUnusable, ImageMissing, LabError, StartFailed
from labkit.home import labs_folder
from labkit.servers import Fleet, State
from labkit.servers.choice import how_to_run
from labkit.servers.engine import Engine, explain_failure, progress_words
from labkit.servers.leftovers import LAB_LABEL
from tests.conftest import require_engine
from tests.servers.machine import without_capabilities

CONNECT = "from labkit.servers.engine import Engine; Engine.connect()"


@pytest.fixture
def home(own_home: Path) -> Path:
    return own_home


@pytest.fixture
async def lab(home: Path) -> AsyncIterator[Fleet]:
    require_engine()
    lab = await Fleet.open(how="container")
    yield lab
    await lab.close()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of an engine that is not there."""
    host = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", host)
    return host


def containers_of(folder: Path) -> list[str]:
    engine = Engine.connect()
    filters = {"label": f"{LAB_LABEL}={folder}"}
    names = [one.name for one in engine.native.containers.list(all=True, filters=filters)]
    engine.close()
    return names


async def test_no_engine_is_named_with_its_address(home: Path, nowhere: str) -> None:
    lab = await Fleet.open(how="container")
    try:
        with pytest.raises(EngineMissing, match=nowhere) as caught:
            await lab.start("nats")
        assert "DOCKER_HOST" in caught.value.remedy
    finally:
        await lab.close()


async def test_a_lab_without_an_engine_says_what_is_missing(home: Path, nowhere: str) -> None:
    async with await Lab.start("nats", how="container") as lab:
        assert isinstance(lab.missing["nats"], EngineMissing)


async def test_an_engine_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://docker.example:2375")
    with pytest.raises(EngineMissing, match="loopback"):
        Engine.connect()


def test_an_engine_one_may_not_use_says_how_to_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        done = subprocess.run(
            [*without_capabilities(), sys.executable, "-c", CONNECT],
            env={**os.environ, "DOCKER_HOST": f"unix://{path}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "You may not use the Docker engine" in done.stderr
    assert "usermod -aG docker" in done.stderr


async def test_an_image_that_cannot_be_had_is_named(lab: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_NATS_IMAGE", "127.0.0.1:1/no-such-image:1.0")
    with pytest.raises(ImageMissing, match="no-such-image") as caught:
        await lab.start("nats")
    assert "docker pull" in caught.value.remedy
    assert containers_of(lab.folder) == []


async def test_the_last_words_of_a_container_that_ends_are_in_the_error(
    lab: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.brokers.redis.image.ARGV", ("redis-server", "--no-such-option", "1"))
    with pytest.raises(StartFailed, match="ended while it was starting") as caught:
        await lab.start("redis")
    assert "no-such-option" in caught.value.log
    assert lab.servers["redis"].state is State.DEAD
    assert containers_of(lab.folder) == []


async def test_a_container_that_never_answers_is_ended(lab: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.brokers.redis.image.ARGV", ("sleep", "1000"))
    monkeypatch.setattr("labkit.servers.container.START_SECONDS", 0.5)
    with pytest.raises(StartFailed, match="did not answer in time"):
        await lab.start("redis")
    assert containers_of(lab.folder) == []


async def test_a_broker_that_failed_can_be_started_when_the_cause_is_gone(
    lab: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("labkit.brokers.redis.image.ARGV", ("redis-server", "--no-such-option", "1"))
        with pytest.raises(StartFailed):
            await lab.start("redis")
    del lab.servers["redis"]
    assert (await lab.start("redis")).state is State.RUNNING


def test_a_full_disk_of_the_engine_is_said() -> None:
    error = explain_failure("kafka", "write /var/lib/docker: no space left on device")
    assert isinstance(error, FolderUnusable)
    assert "disk is full" in error.what


def test_the_progress_of_a_download_is_the_sum_of_its_layers() -> None:
    def downloading(layer: str, current: int) -> dict[str, object]:
        detail = {"current": current * 1_000_000, "total": 10_000_000}
        return {"id": layer, "status": "Downloading", "progressDetail": detail}

    events = [downloading("a", 1), downloading("b", 2), {"id": "a", "status": "Download complete"}]
    assert list(progress_words(events)) == ["1 of 10 MB", "3 of 20 MB", "12 of 20 MB"]


OWNER = """\
import asyncio
from labkit.servers import Fleet

async def main():
    fleet = await Fleet.open(how="container")
    await fleet.start("nats")
    print(fleet.folder, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def orphan_lab() -> Path:
    """Start a lab with a container, kill its cleaner, guardian and owner, and return its folder."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    family = [psutil.Process(owner.pid), *psutil.Process(owner.pid).children(recursive=True)]
    for process in sorted(family, key=lambda one: "leftovers.py" not in " ".join(one.cmdline())):
        process.send_signal(signal.SIGKILL)
    owner.communicate()
    psutil.wait_procs(family)
    return folder


async def test_what_a_killed_owner_guardian_and_cleaner_left_is_swept_by_the_next_lab(home: Path) -> None:
    require_engine()
    folder = orphan_lab()
    assert containers_of(folder)
    await (await Fleet.open()).close()
    assert containers_of(folder) == []
    assert folder not in list(labs_folder().iterdir())


@pytest.fixture
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABKIT_HOW", "LABKIT_NATS_HOW", "LABKIT_NATS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_way_a_broker_runs_is_what_is_nearest(no_choice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert how_to_run("nats", None) == "process"
    monkeypatch.setenv("LABKIT_HOW", "container")
    assert how_to_run("nats", None) == "container"
    monkeypatch.setenv("LABKIT_NATS_HOW", "process")
    assert how_to_run("nats", None) == "process"
    monkeypatch.setenv("LABKIT_NATS_URL", "nats://127.0.0.1:4222")
    assert how_to_run("nats", None) == "external"
    assert how_to_run("nats", "container") == "container"
    assert how_to_run("nats", {"kafka": "container"}) == "external"


def test_an_unknown_way_is_refused(no_choice: None) -> None:
    with pytest.raises(LabError, match="'boat'"):
        how_to_run("nats", "boat")
