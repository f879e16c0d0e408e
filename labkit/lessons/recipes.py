"""The four recipes of a pattern, side by side: with the lab's channels, or with plain clients."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import traitlets
from pygments.lexers import PythonLexer
from pygments.token import STANDARD_TYPES

from labkit.brokers import TITLES
from labkit.errors import LabError
from labkit.lessons.export import script_of
from labkit.widgets.bundle import style
from labkit.widgets.page import PageWidget

__all__ = ["Recipes", "highlighted", "show_recipes"]

HERE = Path(__file__).parent

Line = list[tuple[str, str]]
"""A line of source: each part with the class of its token, as Pygments' style sheets call it."""


class Recipes(PageWidget):
    """A column for each broker, a switch for one alone, and one for its plain client.

    Make one with ``show_recipes``.

    The page only shows; it has nothing to send.
    """

    _esm = HERE / "recipes.js"
    _css = style("tokens") + (HERE / "recipes.css").read_text(encoding="utf-8")

    recipes: Any = traitlets.List().tag(sync=True)

    command: Any = traitlets.Unicode().tag(sync=True)

    def __init__(self, recipes: Mapping[str, type], lesson: str | None = None) -> None:
        unknown = [broker for broker in recipes if broker not in TITLES]
        if unknown:
            raise LabError(f"There is no broker {unknown[0]!r}.", remedy=f"one of: {', '.join(TITLES)}")
        self._sources = {broker: inspect.getsource(one).rstrip() for broker, one in recipes.items()}
        super().__init__(
            command=f"labkit export {lesson}" if lesson else "",
            recipes=[
                {
                    "broker": broker,
                    "title": TITLES[broker],
                    "native": getattr(one, "native", ""),
                    "built": getattr(one, "built", ""),
                    "lines": highlighted(self._sources[broker]),
                    "plain": highlighted(_script(lesson, broker)) if lesson else [],
                }
                for broker, one in recipes.items()
            ],
        )

    def __repr__(self) -> str:
        return f"<recipes: {', '.join(TITLES[broker] for broker in self._sources)}>"

    def fallback(self) -> str:
        columns = "".join(
            f"<details><summary>{TITLES[broker]}</summary><pre><code>{escape(source)}</code></pre></details>"
            for broker, source in self._sources.items()
        )
        return columns + (f"<p>With plain clients: <code>{self.command}</code></p>" if self.command else "")


def highlighted(source: str) -> list[Line]:
    """Return Python source as lines of parts, each with its class: ``("k", "class")``."""
    lines: list[Line] = [[]]
    for kind, text in PythonLexer(ensurenl=False).get_tokens(source):
        name = STANDARD_TYPES.get(kind, "")
        first, *others = text.split("\n")
        lines[-1].append((name, first))
        lines.extend([(name, other)] for other in others)
    return [[part for part in line if part[1]] for line in lines]


def _script(lesson: str, broker: str) -> str:
    return script_of(lesson, broker).read_text("utf-8").rstrip()


def show_recipes(recipes: Mapping[str, type], lesson: str | None = None) -> Recipes:
    """Show the source of each broker's recipe, side by side: ``show_recipes(RECIPES, "03_work_queue")``.

    ``recipes`` maps brokers to classes. What a class says it uses (``native``) and had to build (``built``)
    stands above its source. With a ``lesson``, a switch shows the scripts that ``labkit export`` writes:
    the pattern with plain clients. Raises ``LabError`` for a broker or a script there is none of.
    """
    return Recipes(recipes, lesson)
