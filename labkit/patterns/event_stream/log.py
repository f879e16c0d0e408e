"""What the four event logs share: an event, a reader that keeps its place, and what can be asked of a log.

Each broker's recipe is in the file of its name.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.subscription import Subscription
from labkit.errors import LabError, Unsupported
from labkit.topology import Lane

__all__ = ["Event", "EventLog", "Handler", "Reader", "partition_for"]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)

READ_SECONDS = 30.0
"""The longest to wait for events that should be there; a restart takes some."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as a log keeps it.

    Events of one ``key`` are in one ``partition``, in the order they were appended. ``place`` is the broker's
    own word for where it is there: a sequence, an offset or an id. ``at`` is when it was appended, in seconds
    since 1970, to the millisecond.
    """

    key: str
    value: Any
    at: float
    partition: int
    place: int | str


Handler = Callable[[Event], Awaitable[None] | None]
"""What a reader does with each event, plain or async."""


class Reader:
    """Somebody who reads a log from its start, at their own pace, and goes on where they stopped.

    A worker for each partition hands events to ``handle``, one after another; an event is done with when
    that has returned, and only then the reader's place moves on. Who dies in between gets the event again.
    ``events`` are those done with since this reader was made. ``pace`` is how many seconds each takes.
    """

    def __init__(self, log: EventLog[Any], name: str, handle: Handler | None = None) -> None:
        self.log = log
        self.name = name
        self.handle = handle
        self.pace = 0.0
        self.events: list[Event] = []
        self.workers: list[Subscription[Any]] = []
        self._grew = asyncio.Event()

    async def open(self) -> Self:
        """Go on where this reader stopped, or begin with the first event."""
        if not self.is_open:
            self.workers = await self.log.workers(self.name)
            await asyncio.gather(*(worker.open() for worker in self.workers))
            await self.log.shared_out(self.workers)
            for worker in self.workers:
                worker.run(self._take)
        return self

    @property
    def is_open(self) -> bool:
        """Whether it reads."""
        return any(worker.is_open for worker in self.workers)

    async def close(self) -> None:
        """Stop reading. The place is kept. Raises what the handler raised."""
        for worker in self.workers:
            await worker.close()

    async def lag(self) -> int:
        """Return how many events are in the log that this reader is not done with."""
        return await self.log.lag(self.name)

    async def _take(self, delivery: Any) -> None:
        try:
            self.events.append(await self._work_on(delivery))
        finally:
            self._grew.set()

    async def _work_on(self, delivery: Any) -> Event:
        event = self.log.event_in(delivery)
        if self.pace:
            await asyncio.sleep(self.pace)
        result = self.handle(event) if self.handle else None
        if inspect.isawaitable(result):
            await result
        await self.log.done_with(self.name, delivery)
        return event

    async def until(self, count: int, within: float = READ_SECONDS) -> list[Event]:
        """Wait until this reader is done with ``count`` events, and return them.

        Raises ``LabError`` if that takes longer than ``within`` seconds, and at once what the handler raised.
        """
        return await self._until(lambda: len(self.events) >= count, f"{count} events", within)

    async def until_value(self, value: object, within: float = READ_SECONDS) -> list[Event]:
        """Wait until this reader is done with an event of this value; return, and raise, likewise."""
        return await self._until(lambda: any(one.value == value for one in self.events), f"{value}", within)

    async def _until(self, arrived: Callable[[], bool], what: str, within: float) -> list[Event]:
        try:
            async with asyncio.timeout(within):
                while not arrived():
                    if any(worker.error for worker in self.workers):
                        await self.close()
                    self._grew.clear()
                    await self._grew.wait()
        except TimeoutError as error:
            raise LabError(
                f"{self.name} waited {within:g} s for {what}, and has read {len(self.events)} events.",
                broker=self.log.broker,
                remedy="check that the broker runs, and that somebody appends",
            ) from error
        return self.events

    def __repr__(self) -> str:
        return f"<{self.name} read {len(self.events)}>"


class EventLog(ABC, Generic[AnyClient]):
    """A log of events on one broker. Nothing is taken away by reading; many read, each at its own place.

    ``partitions`` is into how many parts it is divided. ``compacted`` keeps only the last event of each key,
    where the broker can do that; the broker says when. Raises ``Unsupported`` where it cannot.
    """

    native: ClassVar[str]
    built: ClassVar[str] = ""
    no_compaction: ClassVar[str] = ""
    """Why this broker cannot keep the last event of each key alone; empty where it can."""

    confirms = True

    def __init__(
        self, client: AnyClient, name: str = "stock", partitions: int = 1, *, compacted: bool = False
    ) -> None:
        if compacted and self.no_compaction:
            raise Unsupported(
                self.no_compaction, broker=client.broker, remedy="keep the last of each key elsewhere"
            )
        self.client = client
        self.name = name
        self.partitions = partitions
        self.compacted = compacted
        self.readers: dict[str, Reader] = {}

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.client.broker

    @abstractmethod
    async def open(self) -> Self:
        """Make the log, or find it."""

    @abstractmethod
    async def append(self, key: str, value: object) -> None:
        """Add one event, and wait until the broker has it. ``key`` is one word. Raises ``PublishFailed``."""

    @abstractmethod
    async def replay(self, since: float | None = None) -> list[Event]:
        """Return the events there are now, from the start, or from a moment on (seconds since 1970).

        Each partition is in order; across partitions there is none.
        """

    async def history(self, key: str, since: float | None = None) -> list[Event]:
        """Return what happened to one key, in order: what an auditor asks. Here all is read, and skipped."""
        return [event for event in await self.replay(since) if event.key == key]

    async def moment(self) -> float:
        """Return a time between what was appended and what will be, once it is past. For ``since``.

        Brokers count time in milliseconds. The clock is this machine's, and so the brokers'.
        """
        moment = (int(time.time() * 1000) + 2) / 1000
        while (left := moment - time.time()) > 0:  # noqa: ASYNC110  # a clock, and no event
            await asyncio.sleep(left)
        return moment

    async def reader(self, name: str, handle: Handler | None = None) -> Reader:
        """Return a reader of this name, open: it goes on where it stopped, or begins with the first event."""
        reader = self.readers[name] = Reader(self, name, handle)
        return await reader.open()

    @abstractmethod
    async def lag(self, reader: str) -> int:
        """Return how many events there are that the reader of this name is not done with."""

    @abstractmethod
    async def workers(self, reader: str) -> list[Subscription[Any]]:
        """Return what reads each partition for a reader, from its place on, not yet open."""

    async def shared_out(self, workers: list[Subscription[Any]]) -> None:
        """Wait until each worker has its partition, where the broker shares them out."""

    @abstractmethod
    def event_in(self, delivery: Any) -> Event:
        """Return the event that was delivered."""

    async def done_with(self, reader: str, delivery: Any) -> None:
        """Keep a reader's place. Nothing to do where an acknowledgement does so."""

    @abstractmethod
    async def restored(self) -> None:
        """Wait until the log can be appended to and read again after the broker was restarted."""

    @abstractmethod
    async def channel(self) -> Channel:
        """Return the broker's own channel that events are published on."""

    async def lane(self) -> Lane:
        """Return this broker's row for the live picture, with everybody who ever read."""
        workers = [worker for reader in self.readers.values() for worker in reader.workers]
        return Lane.of(await self.channel(), *workers)

    def worker_name(self, reader: str, partition: int) -> str:
        """Return what the worker for a partition is called: as the reader, where there is just one."""
        return reader if self.partitions == 1 else f"{reader}-{partition}"

    async def close(self) -> None:
        """Let every reader stop."""
        for reader in self.readers.values():
            await reader.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {', '.join(self.readers) or 'nobody reads'}>"


def partition_for(key: str, partitions: int) -> int:
    """Return the partition of a key, the same each time: for brokers that do not choose one."""
    return zlib.crc32(key.encode()) % partitions
