"""The words for how a broker's program is run: what each slice's ``server.py`` has to offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from labkit.programs.program import Program

__all__ = ["Launch", "Recipe", "recipe_of"]


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run: ``argv`` with exactly the environment ``env``."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class Recipe(Protocol):
    """One broker's ``server.py``.

    ``PORTS`` are the ports it listens on by name, each with its standard number; "client" is what a client
    connects to.
    """

    PORTS: Mapping[str, int]

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the address for clients, ready to paste."""
        ...

    def launch(self, program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
        """Write the configuration into ``folder`` and return what is to be run there."""
        ...

    async def probe(self, url: str) -> str:
        """Return the version the broker tells ("" if it tells none) once its protocol answers; else raise."""
        ...

    def prepare(self, program: Program, say: Callable[[str], None]) -> None:
        """Make the caches that let this program start fast, unless they are there. May take seconds."""
        ...


def recipe_of(broker: str) -> Recipe:
    """Return the recipe of a broker, by name: servers know no slice, slices know servers."""
    return cast(Recipe, import_module(f"labkit.brokers.{broker}.server"))
