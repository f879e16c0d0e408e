"""A broker in a container, on ports of this machine's loopback.

The container is made once and then started again and again, so its ports and data stay. They are those of
the lab until it ends: the guardian's cleaner (``leftovers.py``) then removes container and volume.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from labkit.errors import NotRunning, StartFailed
from labkit.servers.container_plan import Plan
from labkit.servers.engine import Engine, explain_failure
from labkit.servers.engine_events import Events
from labkit.servers.ports import refuse_taken_ports
from labkit.servers.probing import answer
from labkit.servers.recipe import Recipe
from labkit.servers.server import State
from labkit.servers.watched import Watched

__all__ = ["ContainerServer"]

Answer = TypeVar("Answer")

START_SECONDS = 120.0
STOP_SECONDS = 15.0
CHANGE_SECONDS = 30.0
"""How long the engine may take to tell that a container has ended, stopped or gone on."""

PROBE_PAUSE_SECONDS = 0.03
"""The engine's proxy takes connections before the broker listens, so each look costs a whole client."""


class ContainerServer(Watched):
    """One broker of a lab, run from its image."""

    how = "container"

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        plan: Plan,
        say: Callable[[str, str], None] = lambda broker, words: None,
    ) -> None:
        super().__init__(plan.broker)
        self.plan = plan
        self._say = say
        self._engine, self._recipe = engine, recipe
        self._container: Any = None
        self._events: Events | None = None
        self._version = plan.version
        self._pid: int | None = None
        self._ready_in: float | None = None
        self._was_asked = False
        self._changing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None

    @property
    def version(self) -> str:
        """What the broker tells; what its image's tag says until it has, or if it tells none."""
        return self._version

    @property
    def url(self) -> str:
        """The address for clients, ready to paste."""
        return self._recipe.url(self.plan.ports)

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports of this machine it is reached at, by name."""
        return self.plan.ports

    @property
    def ready_in(self) -> float | None:
        """Seconds from the engine's start to the protocol's answer, at the last start."""
        return self._ready_in

    @property
    def pid(self) -> int | None:
        """The broker's process as the engine numbers it, None while there is none."""
        return self._pid

    @property
    def folder(self) -> Path | None:
        """Where the engine keeps its data: on Linux a folder that root may read. None before it is made."""
        mounts = self._container.attrs.get("Mounts", []) if self._container else []
        return next((Path(one["Source"]) for one in mounts if one.get("Name") == self.plan.volume), None)

    @property
    def container_id(self) -> str | None:
        """The engine's name for its container, None before it is made."""
        return self._container.id if self._container else None

    def memory(self) -> int | None:
        """Return resident bytes of all its processes, None if it does not run."""
        if self._pid is None:
            return None
        with suppress(Exception):  # it ends in this very moment, or the engine does
            processes = self._container.top(ps_args="-o pid,rss")["Processes"]
            return sum(int(kilobytes) * 1024 for _, kilobytes in processes)
        return None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the broker printed."""
        if self._container is None:
            return ""
        with suppress(Exception):  # removed, or the engine has gone
            text: str = self._container.logs(tail=lines).decode(errors="replace")
            return text.rstrip("\n")
        return ""

    async def start(self) -> None:
        """Start (again) on the same ports with the same data; returns when the protocol answers.

        Raises ``ImageMissing``, ``PortTaken``, or ``StartFailed`` with the last lines of the log.
        """
        async with self._changing:
            if self.state in (State.RUNNING, State.PAUSED):
                return
            refuse_taken_ports(self.broker, self.plan.ports)
            self.state = State.STARTING
            try:
                await self._make()
                await self._start()
            except BaseException:
                await self._give_up()
                raise

    async def _make(self) -> None:
        if self._container is None:
            await asyncio.to_thread(self._engine.fetch, self.plan.image, self._tell)
            self._tell("")
            self._container = await self._ask(lambda: self.plan.create(self._engine))
            self._events = await self._follow_events()

    def _tell(self, words: str) -> None:
        self.doing = words
        self._say(self.broker, words)

    async def _start(self) -> None:
        began = time.monotonic()
        self._was_asked = False
        await self._ask(self._container.start)
        await self._look()
        await self._until_ready(began + START_SECONDS)
        self._ready_in = time.monotonic() - began
        self.state = State.RUNNING

    async def _until_ready(self, deadline: float) -> None:
        while (told := await answer(self._recipe, self.url, self.plan.ports["client"])) is None:
            if self.state is not State.STARTING:
                raise self._failure("ended while it was starting")
            if time.monotonic() > deadline:
                raise self._failure("did not answer in time")
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
        self._version = told or self._version

    async def _give_up(self) -> None:
        """Remove the container that did not come up. Its data stays, for when the cause is gone."""
        container, self._container = self._container, None
        if self._events is not None:
            self._events.close()
        if container is not None:
            with suppress(Exception):  # the first error is the one to tell
                await asyncio.to_thread(container.remove, force=True)
        self._pid = None
        self.state = State.DEAD

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it as an operator would (SIGTERM), and wait until it is gone; after ``seconds``, SIGKILL."""
        async with self._changing:
            if self.state in (State.STOPPED, State.DEAD):
                self.state = State.STOPPED
                return
            if self.state is State.PAUSED:
                await self._ask(self._container.unpause)
            self._was_asked = True
            await self._ask(lambda: self._container.stop(timeout=int(seconds)))
            await self._until_told(State.STOPPED, State.DEAD)

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait until it is gone."""
        if self.state in (State.STOPPED, State.DEAD) or self._container is None:
            return
        await self._ask(lambda: self._container.kill("SIGKILL"))
        await self._until_told(State.DEAD, State.STOPPED)

    async def pause(self) -> None:
        """Freeze it (the engine's pause); returns when every thread has stopped."""
        async with self._changing:
            if self.state is State.PAUSED:
                return
            self._require(State.RUNNING, "paused")
            await self._ask(self._container.pause)
            await self._until_told(State.PAUSED, State.DEAD)

    async def resume(self) -> None:
        """Let a frozen broker go on."""
        async with self._changing:
            if self.state is State.RUNNING:
                return
            self._require(State.PAUSED, "resumed")
            await self._ask(self._container.unpause)
            await self._until_told(State.RUNNING, State.DEAD)

    async def restart(self) -> None:
        """Stop it if it runs, then ``start``."""
        await self.stop()
        await self.start()

    async def found(self, container_id: str, ready_in: float | None, version: str) -> None:
        """Take over what another process of ours made: this container is the broker."""
        self._container = await self._ask(lambda: self._engine.native.containers.get(container_id))
        self._ready_in, self._version = ready_in, version
        self._events = await self._follow_events()
        await self._look()
        status = self._container.status
        self.state = {"running": State.RUNNING, "paused": State.PAUSED}.get(status, State.DEAD)

    def let_go(self) -> None:
        """Follow no more what others do to it; it goes on."""
        if self._following is not None:
            self._following.cancel()
        if self._events is not None:
            self._events.close()

    def ended_with_lab(self) -> None:
        """Note that it was removed because the lab is over."""
        self.let_go()
        self._pid, self._container = None, None
        self.state = State.STOPPED

    def _require(self, state: State, done: str) -> None:
        if self.state is not state:
            raise NotRunning(
                f"{self.broker} is {self.state}, so it cannot be {done}.",
                broker=self.broker,
                remedy=f'lab.restart("{self.broker}")',
            )

    async def _ask(self, call: Callable[[], Answer]) -> Answer:
        """Make a call to the engine in a thread. Raises ``StartFailed`` and so on for what it refuses."""
        from docker.errors import APIError, NotFound  # type: ignore[import-untyped]

        try:
            return await asyncio.to_thread(call)
        except NotFound as error:
            raise NotRunning(
                f"{self.broker}'s container is gone.", broker=self.broker, remedy="start a new lab"
            ) from error
        except APIError as error:
            if "is not running" in str(error) or "is not paused" in str(error):
                return None  # type: ignore[return-value]  # it ended in this very moment, as will be told
            raise explain_failure(self.broker, str(error.explanation or error)) from error

    async def _look(self) -> None:
        await self._ask(self._container.reload)
        self._pid = self._container.attrs["State"]["Pid"] or None

    async def _until_told(self, *states: State) -> None:
        """Wait until the engine has told of it; if it does not, see for ourselves."""
        try:
            async with asyncio.timeout(CHANGE_SECONDS):
                await self._until(*states)
        except TimeoutError:
            await self._look()
            if self._pid is None:
                self.state = State.STOPPED if self._was_asked else State.DEAD

    def _failure(self, happened: str) -> StartFailed:
        log = self.log_tail()
        return StartFailed(
            f"{self.broker} {happened}.",
            broker=self.broker,
            remedy=f"read its last words below; its image is {self.plan.image}",
            log=log,
        )

    async def _follow_events(self) -> Events:
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(Events, self._engine, self._container.id, loop, self._heard)

    def _heard(self, event: Mapping[str, Any]) -> None:
        """Follow what the engine tells about this container, whoever caused it."""
        match event["Action"]:
            case "start":
                self._was_asked = False
                if self.state in (State.STOPPED, State.DEAD):  # another process started it
                    self.state = State.STARTING
                    self._following = asyncio.create_task(self._follow())
            case "kill":
                self._was_asked = self._was_asked or event["Actor"]["Attributes"].get("signal") == "15"
            case "pause":
                self.state = State.PAUSED
            case "unpause" if self.state is State.PAUSED:
                self.state = State.RUNNING
            case "die":
                self._pid = None
                self.state = State.STOPPED if self._was_asked else State.DEAD

    async def _follow(self) -> None:
        """Wait until a broker that another process started is ready; that process says it if it is not."""
        async with self._changing:
            with suppress(StartFailed, NotRunning):
                await self._look()
                await self._until_ready(time.monotonic() + START_SECONDS)
                self.state = State.RUNNING
