"""Whether a lesson's brokers run, and how to get those that this machine lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.brokers import BROKERS, TITLES
from labkit.lessons.shown import Shown, note

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["ready"]


def ready(lab: Lab) -> Shown:
    """Return which brokers of this lab run; for those that are missing, the command that gets them."""
    running = ", ".join(TITLES[broker] for broker in BROKERS if broker in lab.servers)
    if not lab.missing:
        return note("good", f"Running: {running}.")
    missing = ", ".join(TITLES[broker] for broker in lab.missing)
    remedies = [f"To get {TITLES[broker]}: `{error.remedy}`." for broker, error in lab.missing.items()]
    return note(
        "bad", f"Running: {running or 'none'}. Missing: {missing}.", *remedies, "The lesson goes on without."
    )
