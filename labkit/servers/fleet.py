"""The brokers of one lab, started side by side and ended together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from labkit.errors import NotRunning, PortTaken
from labkit.programs.program import Program
from labkit.servers.choice import How, how_to_run
from labkit.servers.container import ContainerServer
from labkit.servers.container_plan import plan_for
from labkit.servers.engine import Engine
from labkit.servers.external import ExternalServer, external_url
from labkit.servers.folders import claim, lab_folder, read_brokers, write_brokers
from labkit.servers.leftovers import MARKER, cleaner_command, remove_marked
from labkit.servers.link import Link
from labkit.servers.ports import free_ports
from labkit.servers.process import ProcessServer
from labkit.servers.recipe import Recipe, image_recipe_of, recipe_of
from labkit.servers.server import Server, State

__all__ = ["Fleet"]

OurServer = ProcessServer | ContainerServer
Say = Callable[[str, str], None]
"""Is told, from any thread, what is done before a broker can start: ``say("nats", "fetching ...")``."""

SLOW = ("kafka", "rabbitmq")
"""Brokers that take more than a second to be ready."""

PORT_TRIES = 3
"""How often a broker is given other free ports because somebody took one in the meantime."""


class Fleet:
    """Running brokers. Make one with ``Fleet.open`` or ``Fleet.attach``, and close it."""

    def __init__(
        self, link: Link, folder: Path, *, keep: bool, standard_ports: bool, owns: bool, how: How = None
    ) -> None:
        self.folder = folder
        self.servers: dict[str, Server] = {}
        self._link = link
        self._keep = keep
        self._standard_ports = standard_ports
        self._owns = owns
        self._how = how
        self.say: Say = _say_nothing
        self._engine: Engine | None = None
        self._connecting = asyncio.Lock()
        self._is_open = True

    @classmethod
    async def open(
        cls,
        *,
        name: str | None = None,
        keep: bool = False,
        standard_ports: bool = False,
        stays: bool = False,
        how: How = None,
    ) -> Self:
        """Make room for brokers; ``start`` adds them.

        ``keep`` leaves their data for the next lab of the same ``name``; ``stays`` lets them go on when this
        process ends, until ``end_all``; ``how`` runs them as a "process" or in a "container", all or by
        broker. Raises ``FolderUnusable``.
        """
        with claim(name, keep=keep) as (folder, lock):
            link = await Link.spawn(folder, lock, keep=keep, stays=stays)
        return cls(link, folder, keep=keep, standard_ports=standard_ports, owns=not stays, how=how)

    @classmethod
    async def attach(cls, name: str) -> Self:
        """Connect to the brokers of a lab that stays. Raises ``NotRunning`` if there is none."""
        folder = lab_folder(name)
        try:
            link = await Link.connect(folder)
        except NotRunning as error:
            raise NotRunning(
                f"No lab named {name!r} stays on this machine.",
                remedy="labkit up" if name == "lab" else f"labkit up --name {name}",
            ) from error
        fleet = cls(link, folder, keep=True, standard_ports=False, owns=False)
        pids = await link.pids()
        for broker, told in read_brokers(folder).items():
            fleet.servers[broker] = await fleet._as_found(broker, told, pids.get(broker))
        return fleet

    async def _as_found(self, broker: str, told: Mapping[str, Any], pid: int | None) -> Server:
        recipe = recipe_of(broker)
        if told["how"] == ExternalServer.how:
            external = ExternalServer(broker, recipe, told["url"])
            await external.start()
            return external
        if told["how"] == ContainerServer.how:
            return await self._container_as_found(recipe, broker, told)
        server = ProcessServer(
            self._link, recipe, _program_from(told["program"]), self.folder / broker, told["ports"]
        )
        if pid is not None:
            server.found_running(pid, told["ready_in"])
        server.on_change(self._restarted)
        return server

    async def _container_as_found(self, recipe: Recipe, broker: str, told: Mapping[str, Any]) -> Server:
        server = ContainerServer(await self._connect(), recipe, plan_for(broker, self.folder, told["ports"]))
        await server.found(told["container"], told["ready_in"], told["version"])
        server.on_change(self._restarted)
        return server

    async def start_all(self, brokers: Sequence[str], begin: Callable[[str], Awaitable[object]]) -> None:
        """Run ``begin(broker)``, which calls ``start``, for all of these side by side.

        The slow ones first. Meanwhile the client libraries are loaded, which takes a second of processor time
        and would otherwise be counted as the quick ones' time to ready.
        """
        async with asyncio.TaskGroup() as group:
            for broker in brokers:
                if broker in SLOW:
                    group.create_task(_run(begin(broker)), name=f"start {broker}")
            await asyncio.to_thread(_load_clients, brokers)
            for broker in brokers:
                if broker not in SLOW:
                    group.create_task(_run(begin(broker)), name=f"start {broker}")

    async def start(self, broker: str) -> Server:
        """Start a broker, unless it is here already, and return it when it is ready.

        With ``LABKIT_NATS_URL`` and so on set, that broker is used instead; ``how_to_run`` says what goes
        first. Raises ``ProgramMissing``, or ``StartFailed`` with the last lines of its log.
        """
        if broker in self.servers:
            await self.servers[broker].start()
            return self.servers[broker]
        begin = {
            "external": self._start_external,
            "container": self._start_container,
            "process": self._start_process,
        }
        await begin[how_to_run(broker, self._how)](broker)
        self._write_down()
        return self.servers[broker]

    async def _start_external(self, broker: str) -> None:
        self.servers[broker] = ExternalServer(broker, recipe_of(broker), external_url(broker) or "")
        await self.servers[broker].start()

    async def _start_container(self, broker: str) -> None:
        engine, recipe = await self._connect(), recipe_of(broker)
        await self._start_on_ports(
            broker,
            image_recipe_of(broker).PORTS,
            lambda ports: ContainerServer(engine, recipe, plan_for(broker, self.folder, ports), self.say),
        )

    async def _connect(self) -> Engine:
        """Return the engine, having seen to it that all we make there goes when the lab ends."""
        async with self._connecting:
            if self._engine is None:
                engine = await asyncio.to_thread(Engine.connect)
                marker = self.folder / MARKER
                if not marker.exists():
                    marker.write_text(json.dumps({"host": engine.host}))
                await self._link.clean_with(cleaner_command(self.folder, keep=self._keep))
                self._engine = engine
            return self._engine

    async def _start_process(self, broker: str) -> None:
        recipe = recipe_of(broker)
        program: Program = await asyncio.to_thread(import_module(f"labkit.brokers.{broker}.program").find)
        await self._start_on_ports(
            broker,
            recipe.PORTS,
            lambda ports: ProcessServer(self._link, recipe, program, self.folder / broker, ports),
        )

    async def _start_on_ports(
        self, broker: str, standard: Mapping[str, int], make: Callable[[Mapping[str, int]], OurServer]
    ) -> None:
        for tries_left in reversed(range(PORT_TRIES)):
            server = make(dict(standard) if self._standard_ports else free_ports(standard))
            self.servers[broker] = server
            try:
                await server.start()
                server.on_change(self._restarted)
                return
            except PortTaken:
                if self._standard_ports or not tries_left:
                    raise

    def _restarted(self, server: Server) -> None:
        """Write down the new process of a broker that was started again."""
        if server.state is State.RUNNING:
            with suppress(OSError):  # a full disk is no reason to think that it does not run
                self._write_down()

    def _write_down(self) -> None:
        write_brokers(self.folder, {broker: _told(server) for broker, server in self.servers.items()})

    async def end_all(self) -> None:
        """End every broker, also of a lab that stays, and its guardian."""
        if self._keep:
            for server in self.servers.values():
                await server.stop()
        for server in self._ours():
            server.let_go()
        if self._engine is not None and self._owns:
            # The guardian's cleaner would do it, too, but has first to load its client.
            with suppress(Exception):  # and if this fails, it does
                await asyncio.to_thread(remove_marked, self.folder, keep=self._keep)
        await self._link.end()
        self._is_open = False
        for server in self._ours():
            server.ended_with_lab()
        self._hang_up()

    async def close(self) -> None:
        """End the brokers this fleet owns, and leave the others be. Safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        if self._owns:
            await self.end_all()
        else:
            for server in self._ours():
                server.let_go()
            await self._link.close()
            self._hang_up()

    def _ours(self) -> list[OurServer]:
        servers = self.servers.values()
        return [server for server in servers if isinstance(server, ProcessServer | ContainerServer)]

    def _hang_up(self) -> None:
        if self._engine is not None:
            self._engine.close()


def _say_nothing(broker: str, words: str) -> None:
    """Nothing."""


async def _run(begin: Awaitable[object]) -> None:
    await begin


def _load_clients(brokers: Sequence[str]) -> None:
    for broker in brokers:
        with suppress(ImportError):  # a client that is not installed is reported by whoever needs it
            import_module(f"labkit.brokers.{broker}.client")


def _told(server: Server) -> dict[str, Any]:
    told: dict[str, Any] = {
        "how": server.how,
        "url": server.url,
        "version": server.version,
        "ports": dict(server.ports),
        "pid": server.pid,
        "ready_in": server.ready_in,
    }
    if isinstance(server, ProcessServer):
        told["program"] = _program_told(server.program)
    if isinstance(server, ContainerServer):
        told["container"] = server.container_id
    return told


def _program_told(program: Program) -> dict[str, Any]:
    return {
        "broker": program.broker,
        "name": program.name,
        "version": program.version,
        "source": program.source,
        "path": str(program.path),
        "parts": {name: str(path) for name, path in program.parts.items()},
    }


def _program_from(told: Mapping[str, Any]) -> Program:
    parts = {name: Path(path) for name, path in told["parts"].items()}
    return Program(**{**told, "path": Path(told["path"]), "parts": parts})
