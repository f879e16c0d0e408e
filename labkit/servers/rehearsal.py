"""Running a broker once to learn from it: what it loads, so that later starts need not search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from labkit.programs.program import Program
from labkit.servers.folders import claim
from labkit.servers.link import Link
from labkit.servers.ports import free_ports
from labkit.servers.process import ProcessServer
from labkit.servers.recipe import Launch, Recipe, recipe_of

__all__ = ["rehearse"]

LaunchWith = Callable[[Program, Path, Mapping[str, int]], Launch]


@asynccontextmanager
async def rehearse(program: Program, launch: LaunchWith) -> AsyncIterator[ProcessServer]:
    """Run a broker as ``launch`` says, in a folder that goes; when the block is left, stop it as asked."""
    recipe = recipe_of(program.broker)
    with claim(None, keep=False) as (folder, lock):
        link = await Link.spawn(folder, lock, keep=False, stays=False)
    ports = free_ports(recipe.PORTS)
    server = ProcessServer(link, _Rehearsed(recipe, launch), program, folder / program.broker, ports)
    try:
        await server.start()
        yield server
        await server.stop()
    finally:
        await link.end()


class _Rehearsed:
    """A broker's recipe with another launch."""

    def __init__(self, recipe: Recipe, launch: LaunchWith) -> None:
        self.PORTS = recipe.PORTS
        self.url = recipe.url
        self.probe = recipe.probe
        self.prepare = recipe.prepare
        self.launch = launch
