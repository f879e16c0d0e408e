"""The words for how a broker's program is run: what each slice's ``server.py`` has to offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from labkit.programs.program import Program

__all__ = ["Contained", "ImageRecipe", "Launch", "Recipe", "image_recipe_of", "recipe_of"]


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run: ``argv`` with exactly the environment ``env``."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contained:
    """How a broker's image is run: ``argv`` after its entry point, with ``env`` beside its own environment.

    ``ports`` are those it listens on inside, by name; ``data`` is the folder inside where its data lies.
    """

    ports: Mapping[str, int]
    data: str
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class ImageRecipe(Protocol):
    """One broker's ``image.py``.

    ``IMAGE`` is the official image that the lab is tested with; ``PORTS`` are those it opens to this machine,
    by name, as in ``Recipe``.
    """

    IMAGE: str
    PORTS: Mapping[str, int]

    def contained(self, ports: Mapping[str, int]) -> Contained:
        """Return what is run, if these are the ports that this machine's clients are to use."""
        ...


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


def image_recipe_of(broker: str) -> ImageRecipe:
    """Return how a broker's image is run, by name."""
    return cast(ImageRecipe, import_module(f"labkit.brokers.{broker}.image"))
