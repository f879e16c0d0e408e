"""However a lab's owner ends, nothing of the lab is left, unless it was asked to be kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit.home import labs_folder
from labkit.servers import Fleet
from tests.conftest import require
from tests.servers.durable import MAKE, finds
from tests.servers.machine import (
    IS_LINUX,
    as_ordinary_user,
    end,
    engine_things_of,
    is_gone,
    is_listening,
    processes_in,
)
from tests.support import until

# Starts one broker, tells about it, and then answers each Ctrl+C with a line until its input ends.
OWNER = """\
import asyncio, json, os, signal, sys
from labkit.servers import Fleet

async def start():
    fleet = await Fleet.open(keep="keep" in sys.argv, name="shop" if "keep" in sys.argv else None)
    server = await fleet.start(sys.argv[1])
    return fleet, server

signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
with asyncio.Runner() as runner:
    fleet, server = runner.run(start())
    guardian = fleet._link._process.pid
    told = {"pid": server.pid, "ports": list(server.ports.values()), "folder": str(fleet.folder)}
    print(json.dumps({**told, "guardian": guardian, "url": server.url, "user": os.geteuid()}), flush=True)
    while sys.stdin.readline():
        pass
    runner.run(fleet.close())
"""

linux_only = pytest.mark.skipif(not IS_LINUX, reason="only Linux ends a child with its parent")


class Owner:
    """A process that owns a lab with one broker."""

    def __init__(self, broker: str, *words: str, before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", OWNER, broker, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        told: dict[str, Any] = json.loads(self.says())
        self.user: int = told["user"]
        self.broker_pid: int = told["pid"]
        self.ports: list[int] = told["ports"]
        self.folder = Path(told["folder"])
        self.url: str = told["url"]
        self.guardian_pid: int = told["guardian"]
        helpers = psutil.Process(self.broker_pid).children(recursive=True)
        self.pids = [self.guardian_pid, self.broker_pid, *(helper.pid for helper in helpers)]

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    async def leaves_no_process(self) -> None:
        """Wait until nothing of the lab runs or listens."""
        await until(lambda: all(is_gone(pid) for pid in self.pids))
        await until(lambda: not any(is_listening(port) for port in self.ports))
        await until(lambda: not processes_in(self.folder))
        await until(lambda: not [one for one in engine_things_of(self.folder) if not is_volume(one)])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def is_volume(thing: Any) -> bool:
    """Return whether a thing of the engine's is a volume, which a lab that is kept leaves."""
    return "Mountpoint" in thing.attrs


@pytest.fixture
def owner(broker: str, home: Path) -> Iterator[Owner]:
    owner = Owner(broker)
    yield owner
    owner.end()
    end([pid for pid in owner.pids if not is_gone(pid) and _is_of(home, pid)])


def _is_of(home: Path, pid: int) -> bool:
    return any(process.pid == pid for process in processes_in(home))


async def test_a_lab_has_a_guardian_that_is_the_owners_child(owner: Owner) -> None:
    assert psutil.Process(owner.guardian_pid).ppid() == owner.process.pid
    assert all(is_listening(port) for port in owner.ports)
    assert owner.folder.is_dir()


async def test_an_owner_that_closes_its_lab_leaves_nothing(owner: Owner) -> None:
    owner.process.communicate("")
    assert owner.process.returncode == 0
    assert not owner.folder.exists()
    await owner.leaves_no_process()
    assert engine_things_of(owner.folder) == []


@linux_only
async def test_an_ordinary_user_needs_no_root_to_run_a_broker_and_leave_nothing(
    broker: str, home: Path
) -> None:
    owner = Owner(broker, before=as_ordinary_user())
    assert owner.user != 0
    owner.end()
    await owner.leaves_no_process()
    assert not owner.folder.exists()


async def test_a_killed_owner_leaves_nothing(owner: Owner) -> None:
    owner.process.kill()
    await owner.leaves_no_process()
    assert engine_things_of(owner.folder) == []
    assert not owner.folder.exists()


async def test_a_killed_owner_leaves_nothing_of_a_frozen_broker(owner: Owner) -> None:
    os.kill(owner.broker_pid, signal.SIGSTOP)
    owner.process.kill()
    await owner.leaves_no_process()
    assert not owner.folder.exists()


async def test_an_interrupt_of_the_owner_does_not_reach_its_brokers(owner: Owner) -> None:
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.says() == "interrupted\n"
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.says() == "interrupted\n"
    assert not any(is_gone(pid) for pid in owner.pids)
    assert all(is_listening(port) for port in owner.ports)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_guardian_minds_no_polite_signal(home: Path, number: signal.Signals) -> None:
    fleet = await Fleet.open()
    try:
        server = await fleet.start("nats")
        [guardian] = [one for one in processes_in(home) if "guardian.py" in " ".join(one.cmdline())]
        guardian.send_signal(number)
        await server.restart()
        assert is_listening(server.ports["client"])
    finally:
        await fleet.close()


@linux_only
async def test_a_killed_guardian_leaves_no_broker(owner: Owner) -> None:
    os.kill(owner.guardian_pid, signal.SIGKILL)
    await owner.leaves_no_process()


@linux_only
async def test_a_killed_guardian_leaves_no_broker_where_no_setpriv_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("nats")
    monkeypatch.setenv("PATH", "")
    owner = Owner("nats")
    try:
        os.kill(owner.guardian_pid, signal.SIGKILL)
        await owner.leaves_no_process()
    finally:
        owner.end()


@linux_only
async def test_a_killed_owner_and_guardian_leave_no_broker_and_the_next_lab_sweeps_the_folder(
    owner: Owner,
) -> None:
    os.kill(owner.guardian_pid, signal.SIGKILL)
    owner.process.kill()
    await owner.leaves_no_process()
    assert owner.folder.is_dir()
    fleet = await Fleet.open()
    try:
        assert not owner.folder.exists()
    finally:
        await fleet.close()


async def test_a_killed_owner_of_a_kept_lab_leaves_its_data_to_the_next_of_that_name(
    broker: str, home: Path
) -> None:
    owner = Owner(broker, "keep")
    try:
        await MAKE[broker](owner.url)
        owner.process.kill()
        await owner.leaves_no_process()
    finally:
        owner.end()
    assert owner.folder.is_dir()
    await _finds_in_lab("shop", broker)


async def test_a_kept_lab_leaves_its_data_to_the_next_of_that_name(broker: str, home: Path) -> None:
    fleet = await Fleet.open(name="shop", keep=True)
    try:
        await MAKE[broker]((await fleet.start(broker)).url)
    finally:
        await fleet.close()
    assert fleet.folder.is_dir()
    await _finds_in_lab("shop", broker)


async def _finds_in_lab(name: str, broker: str) -> None:
    await (await Fleet.open()).close()  # another lab sweeps, and leaves it be
    again = await Fleet.open(name=name, keep=True)
    try:
        assert await finds(broker, (await again.start(broker)).url)
    finally:
        await again.close()


async def test_what_is_not_kept_is_not_found_by_the_next_lab(broker: str, home: Path) -> None:
    for _ in range(2):
        fleet = await Fleet.open(name="shop")
        try:
            server = await fleet.start(broker)
            assert not await finds(broker, server.url)
            await MAKE[broker](server.url)
        finally:
            await fleet.close()
        assert not fleet.folder.exists()


async def test_two_labs_at_once_do_not_meet(lab: Fleet, broker: str) -> None:
    other = await Fleet.open()
    try:
        one, two = await lab.start(broker), await other.start(broker)
        assert one.pid != two.pid
        assert one.folder != two.folder
        assert not set(one.ports.values()) & set(two.ports.values())
        await MAKE[broker](one.url)
        assert not await finds(broker, two.url)
    finally:
        await other.close()
    assert await finds(broker, one.url)


def test_labs_that_begin_at_the_same_moment_each_get_a_folder(home: Path) -> None:
    script = (
        "import asyncio\n"
        "from labkit.servers import Fleet\n"
        "async def main():\n"
        "    for _ in range(10):\n"
        "        fleet = await Fleet.open()\n"
        "        assert fleet.folder.is_dir()\n"
        "        await fleet.close()\n"
        "asyncio.run(main())\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    try:
        errors = [process.communicate()[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert errors == [""] * 4
    assert [path for path in labs_folder().iterdir() if path.is_dir()] == []
