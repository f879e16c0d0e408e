"""One worker of a consumer group: what it is handed, and how it says that it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.redis.channels.entries import Entry, data_of, entries_of, timestamp_of
from labkit.brokers.redis.errors import asking, settle
from labkit.brokers.redis.reader import BLOCK_SECONDS, ReadingSubscription
from labkit.errors import SettleFailed

if TYPE_CHECKING:
    from labkit.brokers.redis.channels.group import Group
    from labkit.brokers.redis.channels.stream import Stream

__all__ = ["GroupDelivery", "GroupSubscription"]

PENDING = "it stays pending, and comes again when it is claimed"


class GroupDelivery(OpenDelivery):
    """An entry that was handed to a worker, and is pending until somebody acknowledges it."""

    __slots__ = ("_done", "_group", "attempt", "worker")

    def __init__(
        self,
        entry: Entry,
        group: Group,
        worker: str,
        attempt: int | None,
        done: Callable[[GroupDelivery, bool], None],
        *,
        redelivered: bool,
    ) -> None:
        super().__init__(entry, group.read, redelivered)
        self.worker = worker
        self.attempt = attempt
        """How often it was handed out by now, 1 for the first time; None where Redis did not tell."""
        self._group = group
        self._done = done

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return data_of(self.native)

    @property
    def id(self) -> str:
        """Its place in the stream."""
        return str(self.native[0], "ascii")

    @property
    def timestamp(self) -> float:
        """When Redis made it, in seconds since 1970."""
        return timestamp_of(self.id)

    async def ack(self) -> None:
        """Tell Redis that this entry is done with (XACK): it is pending no more. It stays in the stream.

        Redis takes it from any worker, also from one whose entry another has claimed meanwhile. Raises
        ``SettleFailed`` if the entry is not pending any more: another claimed and acknowledged it.
        """
        await self._settle("XACK", self._group.stream.name, self._group.name, self.native[0])

    async def ack_and_delete(self, *, keep_for_others: bool = True) -> None:
        """Acknowledge it and remove it from the stream in one step (XACKDEL).

        With ``keep_for_others`` only once every group has acknowledged it. Needs Redis 8.2; raises
        ``Unsupported`` on an older server.
        """
        self._group.client.version.require("XACKDEL")
        policy = "ACKED" if keep_for_others else "DELREF"
        names = self._group.stream.name, self._group.name
        await self._settle("XACKDEL", *names, policy, "IDS", 1, self.native[0])

    async def nack(self, mode: Literal["SILENT", "FAIL", "FATAL"] = "FAIL") -> None:
        """Give it back for any worker to take at once (XNACK).

        SILENT takes this attempt back, FAIL lets it count, FATAL marks it as never to be worked on. Needs
        Redis 8.8; raises ``Unsupported`` on an older server.
        """
        if self.is_settled:
            return
        self._group.client.version.require("XNACK")
        names = self._group.stream.name, self._group.name
        command = ("XNACK", *names, mode, "IDS", 1, self.native[0])
        await settle(self._group.client, command, self._not_taken, PENDING)
        await self.give_back()  # which only says, here, that this worker is done with it

    async def give_back(self) -> None:
        """Leave it pending: up to Redis 8.8 there is no way to give an entry back (then see ``nack``).

        It comes again when it is claimed, once it has been idle for long enough, or when this worker is
        opened again.
        """
        self.is_settled = True
        self._done(self, False)

    def _not_taken(self) -> str:
        return f"Redis did not take what {self.worker} says of {self.id}"

    async def _settle(self, *command: Any) -> None:
        if self.is_settled:
            return
        try:
            answer = await settle(self._group.client, command, self._not_taken, PENDING)
            taken = answer[0] in (1, 2) if isinstance(answer, list) else answer
            if not taken:
                raise SettleFailed(
                    f"{self.id} is not pending any more: another worker claimed it and is done with it.",
                    broker="redis",
                    remedy="claim after a longer idle time than the work takes",
                )
            self.is_settled = True
        finally:
            self._done(self, self.is_settled)


class GroupSubscription(ReadingSubscription[GroupDelivery]):
    """One worker of a group."""

    channel: Stream

    def __init__(self, group: Group, name: str, batch: int, claim_idle: float | None) -> None:
        super().__init__(group.stream, name)
        self.group = group
        self._batch = batch
        self._claim_idle = claim_idle
        self._claim_at = 0.0
        self._held: set[bytes] = set()
        """Ids of what was handed over here and not settled: no need to hand it over again."""

    async def _recover(self) -> None:
        names = self.channel.name, self.group.name, self.name
        await self.group.ask("add a worker to", "XGROUP", "CREATECONSUMER", *names)
        self._held -= {delivery.native[0] for delivery in self._ready}
        self._ready.clear()
        after: bytes | str = "0"
        while history := await self._history(after):
            after = history[-1][0]
            there: list[Entry] = [(one, fields) for one, fields in history if fields is not None]
            await self._ready_again([entry for entry in there if entry[0] not in self._held])
            await self._forget([one for one, fields in history if fields is None])

    async def _history(self, after: bytes | str) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        """Return what is pending under this name after an id, some at a time."""
        reading = ("XREADGROUP", "GROUP", self.group.name, self.name, "COUNT", 1000)
        async with asking(f"Redis did not tell what is pending for {self.place}"):
            return list(entries_of(await self._reader.ask(*reading, "STREAMS", self.channel.name, after)))

    async def _forget(self, ids: list[bytes]) -> None:
        """Acknowledge what was trimmed away while it was pending: it cannot be read any more."""
        if ids:
            await self.group.ask("settle", "XACK", self.channel.name, self.group.name, *ids)
            self.group.note_trimmed(ids)

    async def _ready_again(self, entries: list[Entry]) -> None:
        attempts = await self.group.attempts(self.name, entries)
        for entry in entries:
            self._add(entry, attempts.get(entry[0].decode()), redelivered=True)

    async def _before_reading(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._claim_idle is None or now < self._claim_at:
            return
        self._claim_at = now + min(self._claim_idle / 2, BLOCK_SECONDS)
        for entry, attempt in await self.group.claim_entries(
            self.name, idle=self._claim_idle, count=self._batch
        ):
            if entry[0] not in self._held:  # its own, which it only has had for long
                self._add(entry, attempt, redelivered=True)

    def _command(self) -> tuple[Any, ...]:
        block = BLOCK_SECONDS if self._claim_idle is None else min(BLOCK_SECONDS, self._claim_idle / 2)
        reading = ("XREADGROUP", "GROUP", self.group.name, self.name, "COUNT", self._batch)
        return (*reading, "BLOCK", max(1, int(block * 1000)), "STREAMS", self.channel.name, ">")

    async def _take(self, reply: Any) -> None:
        for entry_id, fields in entries_of(reply):
            self._add((entry_id, fields or {}), 1, redelivered=False)

    def _add(self, entry: Entry, attempt: int | None, *, redelivered: bool) -> None:
        self._held.add(entry[0])
        self._ready.append(
            GroupDelivery(entry, self.group, self.name, attempt, self._done, redelivered=redelivered)
        )

    def _done(self, delivery: GroupDelivery, is_acknowledged: bool) -> None:
        self._held.discard(delivery.native[0])
        if self._settled is not None and is_acknowledged:
            self._settled(delivery.message)

    async def abandon(self) -> None:
        """End as a program does that is killed: what it was handed stays pending under its name."""
        await super().abandon()
        self._held.clear()

    async def _unsubscribe(self) -> None:
        await super()._unsubscribe()
        self._held.clear()
