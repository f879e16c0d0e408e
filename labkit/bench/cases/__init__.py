"""The contestants, a file a broker; loaded when its broker is measured."""

from __future__ import annotations

from importlib import import_module

from labkit.bench.kind import Kind

__all__ = ["kinds"]


def kinds(broker: str) -> tuple[Kind, ...]:
    """Return the kinds of channel of this broker that are measured."""
    found: tuple[Kind, ...] = import_module(f"labkit.bench.cases.{broker}").KINDS
    return found
