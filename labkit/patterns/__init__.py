"""The patterns, one a module, each with a recipe for every broker: ``RECIPES`` there.

A recipe's ``native`` names what it uses of the broker's own, ``built`` what it had to build because the
broker has no such thing. README's table comes from these, and from the tests in ``tests/patterns``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["PATTERNS", "recipes_of"]

PATTERNS: Mapping[str, str] = {
    "Publish and subscribe": "publish_subscribe",
    "Work queue": "work_queue",
    "Request and reply": "request_reply",
    "Event streaming": "event_stream",
    "Saga": "saga",
}
"""Each pattern's title and its module here, in the order in which they are taught."""


def recipes_of(module: str) -> Mapping[str, type[Any]]:
    """Return a pattern's recipe for each broker: ``recipes_of("work_queue")["nats"]``."""
    recipes: Mapping[str, type[Any]] = import_module(f"{__name__}.{module}").RECIPES
    return recipes
