"""What happens to a connection to NATS, as words a learner can read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["OnStatus", "Status", "StatusEvent"]


class Status(StrEnum):
    """One thing that can happen to a connection."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RECONNECTED = "reconnected"
    SLOW_CONSUMER = "slow consumer"  # a subscriber has no room left: nats-py drops what comes for it
    NOT_ALLOWED = "not allowed"  # the server refused a publish or a subscribe
    DRAIN_TIMED_OUT = "drain timed out"  # a handler was not done with what had arrived
    PROBLEM = "problem"  # whatever else nats-py reports
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One happening. ``at`` is ``time.time()``: seconds since 1970."""

    kind: Status
    at: float
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}" if self.words else str(self.kind)


OnStatus = Callable[[StatusEvent], Awaitable[None] | None]
"""Called for each event as it happens; may be a coroutine function."""
