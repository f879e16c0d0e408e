"""The words for a running broker: what each kind of server (process, external, container) tells and does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

__all__ = ["Server", "State"]


class State(StrEnum):
    """What a broker is doing now."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"  # asked to end, and did
    DEAD = "dead"  # ended without being asked: killed, or crashed


class Server(Protocol):
    """One broker, however it is run.

    ``broker`` is "nats", "rabbitmq", "redis" or "kafka"; ``how`` is "process", "external" or "container";
    ``url`` is what a client connects to, ready to paste; ``ports`` by name ("client", "monitor", ...);
    ``ready_in`` is seconds from spawn to the protocol's answer at the last start, None if unknown;
    ``pid`` and ``folder`` are None for a broker that is not ours; ``doing`` is what is done before it can
    start, "fetching nats:2.15.1-alpine: 3 of 9 MB", empty if nothing.
    """

    broker: str
    how: str
    doing: str

    @property
    def version(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def ports(self) -> Mapping[str, int]: ...
    @property
    def state(self) -> State: ...
    @property
    def ready_in(self) -> float | None: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def folder(self) -> Path | None: ...

    def memory(self) -> int | None:
        """Return resident bytes of the broker with all its helpers, None if unknown."""
        ...

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the broker logged."""
        ...

    def on_change(self, callback: Callable[[Server], None]) -> Callable[[], None]:
        """Call ``callback(server)`` on the event loop at each change of state; return what ends that."""
        ...

    async def start(self) -> None:
        """Start (again) on the same ports with the same data; returns when the protocol answers."""
        ...

    async def stop(self) -> None:
        """End it as an operator would (SIGTERM), and wait until it is gone."""
        ...

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait until it is gone."""
        ...

    async def pause(self) -> None:
        """Freeze it (SIGSTOP); returns when every thread has stopped."""
        ...

    async def resume(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        ...

    async def restart(self) -> None:
        """Stop it if it runs, then ``start``."""
        ...
