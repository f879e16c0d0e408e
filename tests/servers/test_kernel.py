"""What becomes of a lab when its notebook's kernel is interrupted, killed or restarted: a real kernel."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from labkit.errors import NotRunning
from labkit.servers import Fleet
from tests.conftest import require
from tests.servers.machine import is_gone, is_listening, processes_in
from tests.support import until

ANSWER_SECONDS = 60.0
START = """
import asyncio, json, os, time
from labkit import Lab
lab = await Lab.{how}
[server] = lab.servers.values()
told = {{"kernel": os.getpid(), "pid": server.pid, "ports": list(server.ports.values()), "url": server.url}}
print(json.dumps(told))
"""
BEGUN = "the loop has begun"
WAITING = f"print('{BEGUN}')\nwhile True: await asyncio.sleep(0.02)"
BLOCKING = f"print('{BEGUN}')\nwhile True: time.sleep(0.02)"


class Kernel:
    """A kernel as JupyterLab starts it."""

    def __init__(self) -> None:
        self.manager = AsyncKernelManager(kernel_name="python3")
        self.client: AsyncKernelClient

    async def start(self) -> None:
        await self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            await self.client.wait_for_ready(timeout=ANSWER_SECONDS)
        except BaseException:
            await self.end()
            raise

    async def run(self, code: str) -> str:
        """Run a cell, and return what it printed. Raises ``AssertionError`` if it raised."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = await self.client.execute_interactive(code, output_hook=hear, timeout=ANSWER_SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)

    async def interrupted_in(self, cell: str) -> str:
        """Run an endless cell, interrupt it once it has begun, and return the name of what it raised."""
        self.client.execute(cell)
        while True:
            # Not at execute_input: until its code runs, the kernel takes an interrupt for somebody else's.
            message = await self.client.get_iopub_msg(timeout=ANSWER_SECONDS)
            if message["msg_type"] == "stream" and BEGUN in message["content"]["text"]:
                break
        await self.manager.interrupt_kernel()
        reply = await self.client.get_shell_msg(timeout=ANSWER_SECONDS)
        return str(reply["content"]["ename"])

    async def end(self) -> None:
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


@pytest.fixture
async def kernel(home: Path) -> AsyncIterator[Kernel]:
    kernel = Kernel()
    await kernel.start()
    yield kernel
    await kernel.end()


async def leaves_nothing(told: dict[str, Any], home: Path) -> None:
    """Wait until the lab's processes, ports and files are gone."""
    await until(lambda: is_gone(told["pid"]))
    await until(lambda: not any(is_listening(port) for port in told["ports"]))
    await until(lambda: not processes_in(home / "labs"))
    await until(lambda: not [folder for folder in (home / "labs").iterdir() if folder.is_dir()])


@pytest.mark.parametrize(
    ("cell", "raised"),
    [
        pytest.param(WAITING, "CancelledError", id="waiting"),
        pytest.param(BLOCKING, "KeyboardInterrupt", id="blocking"),
    ],
)
async def test_a_broker_survives_the_notebooks_interrupt_button(
    kernel: Kernel, broker: str, cell: str, raised: str
) -> None:
    told = json.loads(await kernel.run(START.format(how=f'start("{broker}")')))
    assert await kernel.interrupted_in(cell) == raised
    assert not is_gone(told["pid"])
    state = f'print(lab.servers["{broker}"].state, lab.servers["{broker}"].pid)'
    assert await kernel.run(state) == f"running {told['pid']}\n"


async def test_a_killed_kernel_leaves_nothing(kernel: Kernel, broker: str, home: Path) -> None:
    told = json.loads(await kernel.run(START.format(how=f'start("{broker}")')))
    os.kill(told["kernel"], signal.SIGKILL)
    await leaves_nothing(told, home)


async def test_a_restarted_kernel_leaves_nothing_of_its_lab_and_starts_another(
    kernel: Kernel, broker: str, home: Path
) -> None:
    told = json.loads(await kernel.run(START.format(how=f'start("{broker}")')))
    await kernel.manager.restart_kernel(now=False)
    await kernel.client.wait_for_ready(timeout=ANSWER_SECONDS)
    await leaves_nothing(told, home)
    again = json.loads(await kernel.run(START.format(how=f'start("{broker}")')))
    assert not is_gone(again["pid"])


async def test_a_restarted_kernel_attaches_again_to_a_lab_that_stays(kernel: Kernel, home: Path) -> None:
    require("nats")
    up = [sys.executable, "-m", "labkit", "up", "nats"]
    await asyncio.to_thread(subprocess.run, up, check=True, capture_output=True)
    try:
        told = json.loads(await kernel.run(START.format(how="attach()")))
        os.kill(told["kernel"], signal.SIGKILL)
        await until(lambda: is_gone(told["kernel"]))
        await kernel.manager.restart_kernel(now=True)
        await kernel.client.wait_for_ready(timeout=ANSWER_SECONDS)
        again = json.loads(await kernel.run(START.format(how="attach()")))
        assert (again["pid"], again["url"]) == (told["pid"], told["url"])
        await kernel.run('await lab.nats.subject("orders").publish("still here")')
    finally:
        fleet = await Fleet.attach("lab")
        await fleet.end_all()
    with pytest.raises(NotRunning):
        await Fleet.attach("lab")
    await leaves_nothing(told, home)
