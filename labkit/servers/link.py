"""The owner's end of the connection to a guardian."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from labkit.errors import NotRunning, StartFailed
from labkit.servers import guardian
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Launch

__all__ = ["Link"]

ANSWER_SECONDS = 10.0
END_SECONDS = 70.0
"""A guardian with containers to remove takes a while."""

Event = dict[str, Any]


class Link:
    """A conversation with the guardian of one lab. Make one with ``spawn`` or ``connect``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, owns: bool) -> None:
        self._reader, self._writer = reader, writer
        self._owns = owns
        self._process: subprocess.Popen[bytes] | None = None
        self._listeners: dict[str, Callable[[Event], None]] = {}
        self._answers: dict[str, asyncio.Future[Event]] = {}
        self._pids: dict[str, int] = {}
        self._task = asyncio.create_task(self._listen(), name="listen to the guardian")

    @classmethod
    async def spawn(cls, folder: Path, lock: int, *, keep: bool, stays: bool) -> Self:
        """Start a guardian for ``folder``. It takes over ``lock``, the descriptor of the folder's lock.

        ``keep`` leaves the folder when the lab ends; ``stays`` lets the lab go on when this process ends.
        """
        ours, process = _spawn(folder, lock, keep=keep, stays=stays)
        link = cls(*await asyncio.open_connection(sock=ours), owns=not stays)
        link._process = process
        return link

    @classmethod
    async def connect(cls, folder: Path) -> Self:
        """Connect to the guardian of a lab that stays. Raises ``NotRunning`` if there is none."""
        try:
            address = json.loads((folder / guardian.ADDRESS_FILE).read_text())
            reader, writer = await asyncio.open_connection(LOOPBACK, address["port"])
            writer.write(address["token"].encode() + b"\n")
            async with asyncio.timeout(ANSWER_SECONDS):
                if not await reader.readline():
                    raise ConnectionError("the guardian refused the token")
        except (OSError, ValueError, TimeoutError) as error:
            raise NotRunning(f"No lab runs in {folder}.", remedy="labkit up") from error
        return cls(reader, writer, owns=False)

    def listen(self, name: str, callback: Callable[[Event], None]) -> None:
        """Call ``callback(event)`` with what the guardian tells about this broker."""
        self._listeners[name] = callback

    async def run(self, name: str, launch: Launch, folder: Path, log: Path) -> float:
        """Run a broker in ``folder`` and return when it was spawned, in monotonic seconds.

        Raises ``StartFailed`` if its program does not run.
        """
        answer = await self._ask(
            name,
            do="run",
            name=name,
            argv=launch.argv,
            env=dict(launch.env),
            cwd=str(folder),
            log=str(log),
        )
        if answer["event"] == "failed":
            raise StartFailed(
                f"{name}'s program does not run: {answer['why']}.", broker=name, remedy="labkit doctor"
            )
        at: float = answer["at"]
        return at

    def signal(self, name: str, number: int, *, ends: bool = False) -> None:
        """Send a signal to a broker; ``ends`` says that its end, if it comes, was asked for."""
        self._send(do="signal", name=name, signal=number, ends=ends)

    async def pids(self) -> dict[str, int]:
        """Return the process ids of the brokers that run, by name."""
        pids: dict[str, int] = (await self._ask("", do="list"))["pids"]
        self._pids = dict(pids)
        return pids

    async def clean_with(self, argv: Sequence[str]) -> None:
        """Have the guardian start this cleaner, unless it has one; it acts when the guardian has left."""
        self._send(do="clean", argv=list(argv))
        await self.pids()  # answered after that

    async def end(self) -> None:
        """End the lab, and wait until its guardian has left and nothing of it is there."""
        with suppress(ConnectionError):
            self._send(do="end")
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the guardian has left."""
        self._owns = False
        async with asyncio.timeout(END_SECONDS):
            await asyncio.wait([self._task])
        await self.close()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait, END_SECONDS)

    async def close(self) -> None:
        """Hang up. A lab that stays goes on."""
        self._owns = False
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _ask(self, key: str, **request: Any) -> Event:
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self._send(**request)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        finally:
            self._answers.pop(key, None)

    def _send(self, **request: Any) -> None:
        if self._task.done():
            raise NotRunning("The lab's guardian is gone, and its brokers with it.", remedy="start a new lab")
        self._writer.write(json.dumps(request).encode() + b"\n")

    async def _listen(self) -> None:
        with suppress(ConnectionError):
            while line := await self._reader.readline():
                self._heard(json.loads(line))
        self._guardian_left()

    def _heard(self, event: Event) -> None:
        name = event.get("name", "")
        if event["event"] == "run":
            self._pids[name] = event["pid"]
        if event["event"] == "exit":
            self._pids.pop(name, None)
        answer = self._answers.get(name)
        if event["event"] in ("run", "failed", "list") and answer and not answer.done():
            answer.set_result(event)
        if name in self._listeners:
            self._listeners[name](event)

    def _guardian_left(self) -> None:
        """If the guardian died before us, end what it owned where the system does not do that for it."""
        pids, self._pids = self._pids, {}
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotRunning("The lab's guardian is gone.", remedy="start a new lab"))
        for name, pid in pids.items():
            if self._owns and sys.platform != "linux":
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            if name in self._listeners:
                self._listeners[name](
                    {"event": "exit", "name": name, "code": -signal.SIGKILL, "asked": not self._owns}
                )


def _spawn(
    folder: Path, lock: int, *, keep: bool, stays: bool
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a guardian; return our end of the connection, and its process."""
    ours, theirs = socket.socketpair()
    settings = {"folder": str(folder), "lock": lock, "owner": theirs.fileno(), "keep": keep, "stays": stays}
    with theirs, (folder / "guardian.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", guardian.__file__, json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            pass_fds=(theirs.fileno(), lock),
        )
    return ours, process
