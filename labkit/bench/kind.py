"""One kind of channel: who can take part in which operation, and what all of them find prepared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from labkit.bench.cell import Contestant, Operation
from labkit.bench.stage import Stage

__all__ = ["REPLY_SECONDS", "Arrived", "Build", "Kind", "Work"]

REPLY_SECONDS = 5.0
"""How long everybody waits for a reply."""

Work = Callable[..., Awaitable[Any]]
"""What is measured. FIRE and CONFIRM: ``work(payload)`` publishes it. REQUEST: ``work(payload)`` returns the
reply's payload, which is the same. PIPELINE: ``work(payloads)`` publishes all. CONSUME and HANDLE:
``work(count)`` gives ``stage.received`` that many payloads."""

Build = Callable[[Stage], Awaitable[Work]]
"""Opens a contestant's connections on its stage and returns its work."""

Arrived = Callable[[], Awaitable[int]]
"""Tells how many messages the broker has been heard to have."""


class Kind(ABC):
    """A kind of channel. What it does itself, it does with the raw client, the same for every contestant."""

    broker: ClassVar[str]
    name: str

    def __init__(self) -> None:
        self.builds: dict[Operation, dict[Contestant, Build]] = {}

    @abstractmethod
    async def make(self, url: str, name: str) -> None:
        """Make the channel on the broker, where that is needed."""

    @abstractmethod
    async def fill(self, url: str, name: str, payloads: Sequence[bytes]) -> None:
        """Publish these as fast as the raw client can; return when the broker has them."""

    @abstractmethod
    def watch(self, url: str, name: str) -> AbstractAsyncContextManager[Arrived]:
        """Count what arrives on the channel as long as the context is entered."""

    @abstractmethod
    async def empty(self, url: str, name: str) -> None:
        """Remove the messages that are in the channel, where it keeps any."""

    @abstractmethod
    async def remove(self, url: str, name: str) -> None:
        """Remove the channel from the broker."""

    def raw(self, *operations: Operation) -> Callable[[Build], Build]:
        """Register the raw client's way to do this."""
        return self._register(operations, Contestant.RAW)

    def ours(self, *operations: Operation) -> Callable[[Build], Build]:
        """Register the lab's way: it takes part three times, each time with other observers."""
        return self._register(operations, Contestant.OURS, Contestant.FEED, Contestant.LEDGER)

    def faststream(self, *operations: Operation) -> Callable[[Build], Build]:
        """Register FastStream's way."""
        return self._register(operations, Contestant.FASTSTREAM)

    def _register(
        self, operations: Sequence[Operation], *contestants: Contestant
    ) -> Callable[[Build], Build]:
        def register(build: Build) -> Build:
            for operation in operations:
                for contestant in contestants:
                    self.builds.setdefault(operation, {})[contestant] = build
            return build

        return register
