"""A broker as a child process of the lab's guardian."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from labkit.errors import FolderUnusable, NotRunning, PortTaken, StartFailed
from labkit.programs.program import Program
from labkit.servers.link import Link
from labkit.servers.ports import refuse_taken_ports
from labkit.servers.probing import answer
from labkit.servers.recipe import Launch, Recipe
from labkit.servers.server import State
from labkit.servers.watched import Watched

__all__ = ["ProcessServer"]

START_SECONDS = 60.0
STOP_SECONDS = 15.0
PROBE_PAUSE_SECONDS = 0.002
ENOUGH_DISK = 100_000_000
"""Bytes that must be free: RabbitMQ blocks its publishers below 50 MB."""

PORT_TAKEN_WORDS = ("address already in use", "eaddrinuse")
FULL_WORDS = ("no space left on device", "enospc")


class ProcessServer(Watched):
    """One broker of a lab, run from its program on this machine."""

    how = "process"

    def __init__(
        self, link: Link, recipe: Recipe, program: Program, folder: Path, ports: Mapping[str, int]
    ) -> None:
        super().__init__(program.broker)
        self.program = program
        self._link, self._recipe = link, recipe
        self._folder = folder
        self._ports = dict(ports)
        self._pid: int | None = None
        self._ready_in: float | None = None
        self._changing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        link.listen(program.broker, self._heard)

    @property
    def version(self) -> str:
        """The program's version."""
        return self.program.version

    @property
    def url(self) -> str:
        """The address for clients, ready to paste."""
        return self._recipe.url(self._ports)

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports it listens on, by name."""
        return self._ports

    @property
    def ready_in(self) -> float | None:
        """Seconds from spawn to the protocol's answer, at the last start."""
        return self._ready_in

    @property
    def pid(self) -> int | None:
        """The broker's process, None while there is none."""
        return self._pid

    @property
    def folder(self) -> Path:
        """Its data, configuration and log."""
        return self._folder

    @property
    def log(self) -> Path:
        """The file that takes what the broker prints."""
        return self._folder / "log.txt"

    def memory(self) -> int | None:
        """Return resident bytes of the broker with all its helpers, None if it does not run."""
        if self._pid is None:
            return None
        try:
            broker = psutil.Process(self._pid)
            family = [broker, *broker.children(recursive=True)]
            return sum(_resident(process) for process in family)
        except psutil.NoSuchProcess:
            return None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the broker printed."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    async def start(self) -> None:
        """Start (again) on the same ports with the same data; returns when the protocol answers.

        Raises ``PortTaken``, ``FolderUnusable``, or ``StartFailed`` with the last lines of the log.
        """
        async with self._changing:
            if self.state in (State.RUNNING, State.PAUSED):
                return
            refuse_taken_ports(self.broker, self._ports)
            launch = self._launch()
            self.state = State.STARTING
            try:
                spawned = await self._link.run(self.broker, launch, self._folder, self.log)
                await self._until_ready(spawned + START_SECONDS)
            except BaseException as error:
                self._link_signal(signal.SIGKILL)
                await self._until(State.DEAD, State.STOPPED)
                if isinstance(error, TimeoutError):
                    raise self._failure("did not answer in time") from error
                raise
            self._ready_in = time.monotonic() - spawned
            self.state = State.RUNNING

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it as an operator would (SIGTERM), and wait until it is gone; after ``seconds``, SIGKILL."""
        async with self._changing:
            if self.state in (State.STOPPED, State.DEAD):
                self.state = State.STOPPED
                return
            if self.state is State.PAUSED:
                self._link_signal(signal.SIGCONT)
            self._link_signal(signal.SIGTERM, ends=True)
            try:
                async with asyncio.timeout(seconds):
                    await self._until(State.STOPPED, State.DEAD)
            except TimeoutError:
                self._link_signal(signal.SIGKILL, ends=True)
                await self._until(State.STOPPED, State.DEAD)

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait until it is gone."""
        if self.state in (State.STOPPED, State.DEAD):
            return
        self._link_signal(signal.SIGKILL)
        await self._until(State.DEAD, State.STOPPED)

    async def pause(self) -> None:
        """Freeze it (SIGSTOP); returns when every thread has stopped."""
        async with self._changing:
            if self.state is State.PAUSED:
                return
            self._require(State.RUNNING, "paused")
            self._link_signal(signal.SIGSTOP)
            await self._until(State.PAUSED, State.DEAD)

    async def resume(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        async with self._changing:
            if self.state is State.RUNNING:
                return
            self._require(State.PAUSED, "resumed")
            self._link_signal(signal.SIGCONT)
            await self._until(State.RUNNING, State.DEAD)

    async def restart(self) -> None:
        """Stop it if it runs, then ``start``."""
        await self.stop()
        await self.start()

    def found_running(self, pid: int, ready_in: float | None) -> None:
        """Take over what another process of ours started: this broker runs already."""
        self._pid, self._ready_in = pid, ready_in
        self.state = State.PAUSED if _is_stopped(pid) else State.RUNNING

    def let_go(self) -> None:
        """Follow no more what others do to it; it goes on."""
        if self._following is not None:
            self._following.cancel()

    def ended_with_lab(self) -> None:
        """Note that the guardian ended it because the lab is over."""
        self.let_go()
        self._pid = None
        self.state = State.STOPPED

    def _require(self, state: State, done: str) -> None:
        if self.state is not state:
            raise NotRunning(
                f"{self.broker} is {self.state}, so it cannot be {done}.",
                broker=self.broker,
                remedy=f'lab.restart("{self.broker}")',
            )

    def _link_signal(self, number: int, *, ends: bool = False) -> None:
        self._link.signal(self.broker, number, ends=ends)

    def _launch(self) -> Launch:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
            if free < ENOUGH_DISK:
                raise self._unusable(f"has only {free / 1e6:.0f} MB free")
            return self._recipe.launch(self.program, self._folder, self._ports)
        except OSError as error:
            raise self._unusable(f"cannot be written: {error.strerror or error}") from error

    async def _until_ready(self, deadline: float) -> None:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
            while True:
                if self.state is not State.STARTING:
                    raise self._failure("ended while it was starting")
                told = await answer(self._recipe, self.url, self._ports["client"])
                if told is not None and self.state is State.STARTING:
                    return
                await asyncio.sleep(PROBE_PAUSE_SECONDS)

    async def _follow(self) -> None:
        """Wait until a broker that another process started is ready; that process says it if it is not."""
        async with self._changing:
            with suppress(StartFailed, TimeoutError):
                await self._until_ready(time.monotonic() + START_SECONDS)
                self.state = State.RUNNING

    def _failure(self, happened: str) -> StartFailed:
        log = self.log_tail()
        words = log.lower()
        if any(word in words for word in PORT_TAKEN_WORDS):
            return PortTaken(
                f"{self.broker} could not listen: a port is taken.",
                broker=self.broker,
                remedy="start it again, or without standard ports",
                log=log,
            )
        if any(word in words for word in FULL_WORDS):
            return self._unusable("is full", log)
        return StartFailed(
            f"{self.broker} {happened}.",
            broker=self.broker,
            remedy="read its last words below; `labkit doctor` shows which program it was",
            log=log,
        )

    def _unusable(self, why: str, log: str = "") -> FolderUnusable:
        return FolderUnusable(
            f"{self.broker}'s folder {self._folder} {why}.",
            broker=self.broker,
            remedy="make room there, or set LABKIT_HOME to another folder that you own",
            log=log,
        )

    def _heard(self, event: Mapping[str, Any]) -> None:
        """Follow what the guardian tells about this broker, whoever caused it."""
        match event["event"]:
            case "run":
                self._pid = event["pid"]
                if self.state in (State.STOPPED, State.DEAD):  # another process started it
                    self.state = State.STARTING
                    self._following = asyncio.create_task(self._follow())
            case "failed":
                self._pid = None
                self.state = State.DEAD
            case "stopped":
                self.state = State.PAUSED
            case "continued" if self.state is State.PAUSED:
                self.state = State.RUNNING
            case "exit":
                self._pid = None
                self.state = State.STOPPED if event["asked"] else State.DEAD


def _resident(process: psutil.Process) -> int:
    try:
        resident: int = process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
    return resident


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False
