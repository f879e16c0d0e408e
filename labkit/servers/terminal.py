"""``labkit up``, ``down`` and ``status``: labs that stay, from a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labkit.errors import ProgramMissing
from labkit.servers.engine import Engine
from labkit.servers.fleet import Fleet
from labkit.servers.folders import read_brokers, running_labs
from labkit.servers.server import Server

__all__ = ["main_down", "main_status", "main_up"]

HEADS = ("Broker", "Version", "State", "Process", "Memory", "Age", "Address", "Other ports")
STATUS_WIDTH = 120
"""Characters the table of `status` needs; a narrower terminal breaks its lines."""


def main_up(
    brokers: Sequence[str], name: str, standard_ports: bool, keep: bool, how: str | None = None
) -> int:
    """Start a lab that stays, print its addresses; return 0 if every broker runs, 1 if one is missing."""
    return asyncio.run(_up(brokers, name, standard_ports, keep, how))


async def _up(brokers: Sequence[str], name: str, standard_ports: bool, keep: bool, how: str | None) -> int:
    console = Console()
    began = time.monotonic()
    fleet = await Fleet.open(name=name, keep=keep, standard_ports=standard_ports, stays=True, how=how)
    missing: list[ProgramMissing] = []

    async def start_one(broker: str) -> None:
        try:
            _tell(await fleet.start(broker), console)
        except ProgramMissing as error:
            missing.append(error)
            console.print(f"  {broker:<9} {error}", markup=False, highlight=False)

    try:
        with console.status("starting") as status:
            fleet.say = lambda broker, words: status.update(f"{broker}: {escape(words) or 'starting'}")
            await fleet.start_all(brokers, start_one)
    except BaseException as error:
        await fleet.end_all()
        raise _cause(error) from error
    if not fleet.servers:
        await fleet.end_all()
        raise missing[0]
    await fleet.close()
    console.print(
        f"\nThe lab {name!r} is up after {time.monotonic() - began:.1f} s. End it: {_down_line(name)}"
    )
    return 1 if missing else 0


def _tell(server: Server, console: Console) -> None:
    ready = "yours" if server.ready_in is None else f"ready in {server.ready_in:.2f} s"
    line = f"  {server.broker:<9} {server.version:<8} {ready:<16} {server.url}"
    console.print(line, markup=False, highlight=False)


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main_down(name: str) -> int:
    """End a lab that stays, with everything in it; return 0."""
    asyncio.run(_down(name))
    print(f"The lab {name!r} is down.")
    return 0


async def _down(name: str) -> None:
    fleet = await Fleet.attach(name)
    await fleet.end_all()


def main_status() -> int:
    """Print every lab that runs on this machine as this user; return 0."""
    running = running_labs()
    if not running:
        print("No lab is running. Start one: labkit up")
        return 0
    console = Console(width=max(Console().width, STATUS_WIDTH))
    for folder in running:
        table = Table(*HEADS, title=f"Lab {folder.name}", title_justify="left", box=SIMPLE_HEAD)
        for row in _rows(folder):
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    return 0


def _rows(folder: Path) -> Iterator[tuple[str, ...]]:
    for broker, told in read_brokers(folder).items():
        others = ", ".join(f"{name} {port}" for name, port in told["ports"].items() if name != "client")
        running = _about_container(told) if "container" in told else _about_process(told["pid"])
        yield (broker, told["version"], *running, told["url"], others)


def _about_container(told: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return the same of a broker in a container, as its engine tells."""
    try:
        engine = Engine.connect()
        container = engine.native.containers.get(told["container"])
        state = container.attrs["State"]
        if not state["Running"]:
            return "ended", "", "", ""
        rows = container.top(ps_args="-o pid,rss")["Processes"]
        memory = sum(int(kilobytes) for _, kilobytes in rows) / 1024
        began = datetime.fromisoformat(state["StartedAt"][:19] + "+00:00").timestamp()
    except Exception:  # the engine has gone, or the container with it
        return "ended", "", "", ""
    word = "paused" if state["Paused"] else "running"
    return word, str(state["Pid"]), f"{memory:.0f} MiB", _span(time.time() - began)


def _about_process(pid: int | None) -> tuple[str, str, str, str]:
    process = _process(pid)
    return _about(process) if process else ("ended" if pid else "yours", "", "", "")


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if pid else None
    except psutil.NoSuchProcess:
        return None


def _about(process: psutil.Process) -> tuple[str, str, str, str]:
    """Return a broker's state, process id, memory with its helpers, and age."""
    try:
        family = [process, *process.children(recursive=True)]
        memory = sum(one.memory_info().rss for one in family)
        state = "paused" if process.status() == psutil.STATUS_STOPPED else "running"
        age = time.time() - process.create_time()
    except psutil.NoSuchProcess:
        return "ended", "", "", ""
    return state, str(process.pid), f"{memory / 2**20:.0f} MiB", _span(age)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _down_line(name: str) -> str:
    return "labkit down" if name == "lab" else f"labkit down --name {name}"
