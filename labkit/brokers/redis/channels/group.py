"""Consumer groups of a stream: workers that share its entries, and what they were handed and did not finish.

Redis keeps, for each group, a list of the entries it handed out and nobody acknowledged: the pending ones,
each with the worker that has it, since when, and how often it was handed out. An entry stays with its worker
until that worker acknowledges it or another claims it; by itself it never comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.brokers.redis.channels.entries import Entry, entries_in, fields_of, message_of
from labkit.brokers.redis.channels.worker import GroupDelivery, GroupSubscription
from labkit.brokers.redis.errors import asking
from labkit.errors import Conflict, NotFound
from labkit.events import Kind
from labkit.message import Message

if TYPE_CHECKING:
    from labkit.brokers.redis.channels.stream import Stream
    from labkit.brokers.redis.client import RedisClient

__all__ = ["Group", "GroupInfo", "Pending"]

log = logging.getLogger("labkit")


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that was handed out and not acknowledged. ``idle`` is seconds since it was handed out last."""

    id: str
    worker: str
    idle: float
    attempts: int


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """What Redis tells of a group.

    ``lag`` is how many entries were not handed out yet; None where Redis cannot tell, because entries were
    deleted from the middle or the group began in the middle.
    """

    workers: int
    pending: int
    lag: int | None
    last_id: str


class Group:
    """A consumer group. Each entry goes to one of its workers."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.stream = stream
        self.name = name
        self.client: RedisClient = stream.client
        self.read = partial(message_of, stream.name)
        """What makes a message of one of its entries."""

    @property
    def _label(self) -> str:
        return f"the group {self.name!r} of {self.stream.name!r}"

    async def make(self, start: str) -> None:
        """Make the group (XGROUP CREATE) unless it is there, and the stream too."""
        try:
            await self.ask("make", "XGROUP", "CREATE", self.stream.name, self.name, start, "MKSTREAM")
        except Conflict as error:
            if "BUSYGROUP" not in str(error.__cause__):
                raise

    def subscribe(self, name: str, *, batch: int = 10, claim_idle: float | None = None) -> GroupSubscription:
        """Return the worker called ``name``, not yet open (XREADGROUP).

        It first gets what is pending under its name from before, then new entries, fetched up to ``batch`` at
        a time. With ``claim_idle`` it also takes over what any worker has had pending for so many seconds;
        choose more than the work ever takes, or a slow worker's entries are worked on twice.
        """
        return GroupSubscription(self, name, batch, claim_idle)

    async def pending(
        self, *, worker: str | None = None, idle: float = 0.0, count: int = 1000
    ) -> list[Pending]:
        """Return up to ``count`` pending entries (XPENDING), oldest first: of one worker, or of all.

        Only those handed out last at least ``idle`` seconds ago. Raises ``NotFound`` without the group.
        """
        return await self.pending_between("-", "+", worker=worker, idle=idle, count=count)

    async def pending_between(
        self, first: str, last: str, *, worker: str | None = None, idle: float = 0.0, count: int = 1000
    ) -> list[Pending]:
        """Return the same of the entries from id ``first`` to id ``last``."""
        async with asking(f"Redis did not tell what is pending in {self._label}"):
            rows = await self.client.native.xpending_range(
                self.stream.name, self.name, first, last, count, worker, idle=int(idle * 1000) or None
            )
        return [_pending(row) for row in rows]

    async def claim(self, worker: str, *, idle: float, count: int = 100) -> list[GroupDelivery]:
        """Hand ``worker`` up to ``count`` entries that were pending for ``idle`` seconds (XAUTOCLAIM).

        They are counted as redelivered, and each knows by ``attempt`` how often it was handed out by now.
        """
        return self._handed(worker, await self.claim_entries(worker, idle=idle, count=count))

    def _handed(self, worker: str, entries: list[tuple[Entry, int | None]]) -> list[GroupDelivery]:
        """Return deliveries of what was not read through a subscription, and count them."""
        place = self.stream.name, worker
        settled = self.client.meter(Kind.SETTLED, *place)
        meters = [self.client.meter(kind, *place) for kind in (Kind.DELIVERED, Kind.REDELIVERED)]

        def done(delivery: GroupDelivery, is_acknowledged: bool) -> None:
            if settled is not None and is_acknowledged:
                settled(delivery.message)

        deliveries = [
            GroupDelivery(entry, self, worker, attempt, done, redelivered=attempt != 1)
            for entry, attempt in entries
        ]
        for delivery in deliveries:
            meter = meters[bool(delivery.redelivered)]
            if meter is not None:
                meter(delivery.message)
        return deliveries

    async def claim_entries(self, worker: str, *, idle: float, count: int) -> list[tuple[Entry, int | None]]:
        """Do the same, uncounted, and return entries with how often each was handed out."""
        entries: list[Entry] = []
        cursor: Any = "0-0"
        while len(entries) < count:
            async with asking(f"Redis did not hand {worker} what is pending in {self._label}"):
                cursor, found, gone = await self.client.native.xautoclaim(
                    self.stream.name, self.name, worker, int(idle * 1000), cursor, count - len(entries)
                )
            entries += found
            self.note_trimmed(gone)
            if cursor == b"0-0":
                break
        attempts = await self.attempts(worker, entries)
        return [(entry, attempts.get(entry[0].decode())) for entry in entries]

    async def attempts(self, worker: str, entries: list[Entry]) -> Mapping[str, int]:
        """Return how often each of these was handed out, by id, of those that ``worker`` has pending."""
        if not entries:
            return {}
        first, last = entries[0][0].decode(), entries[-1][0].decode()
        rows = await self.pending_between(first, last, worker=worker, count=10_000)
        return {row.id: row.attempts for row in rows}

    def note_trimmed(self, ids: list[bytes]) -> None:
        """Say that entries were trimmed from the stream before anybody was done with them."""
        if ids:
            log.warning("%d entries pending in %s were trimmed away unfinished.", len(ids), self._label)

    async def dead_letter(self, max_attempts: int, *, idle: float = 0.0) -> list[Message]:
        """Put aside what was handed out ``max_attempts`` times and is pending still; return what it was.

        Each goes to the stream ``<name>.dlq`` with the headers ``dead-letter-id``, ``dead-letter-group`` and
        ``dead-letter-attempts``, and is acknowledged in the same transaction (MULTI). Only what was handed
        out last at least ``idle`` seconds ago: give it as long as the work may take. Run it in one place:
        two at once would put the same entry aside twice.
        """
        meter = self.client.meter(Kind.DEAD_LETTERED, self.stream.name, self.name)
        aside: list[Message] = []
        for row in await self.pending(idle=idle, count=10_000):
            if row.attempts >= max_attempts and (message := await self._put_aside(row)) is not None:
                aside.append(message)
                if meter is not None:
                    meter(message)
        return aside

    async def put_aside(self, delivery: GroupDelivery) -> None:
        """Put one delivery aside, as ``dead_letter`` does, however often it was handed out."""
        row = Pending(delivery.id, delivery.worker, 0.0, delivery.attempt or 1)
        message = await self._put_aside(row)
        await delivery.give_back()  # which only says, here, that this worker is done with it
        meter = self.client.meter(Kind.DEAD_LETTERED, self.stream.name, self.name)
        if message is not None and meter is not None:
            meter(message)

    async def _put_aside(self, row: Pending) -> Message | None:
        what = f"Redis did not put {row.id} of {self._label} aside"
        found = entries_in(await self.client.ask(what, "XRANGE", self.stream.name, row.id, row.id))
        if not found:
            await self.client.ask(what, "XACK", self.stream.name, self.name, row.id)
            self.note_trimmed([row.id.encode()])
            return None
        message = self.read(found[0])
        why = {
            "dead-letter-id": row.id,
            "dead-letter-group": self.name,
            "dead-letter-attempts": str(row.attempts),
        }
        fields = fields_of(message.data, {**(message.headers or {}), **why}, message.key)
        async with asking(what):
            transaction = self.client.native.pipeline(transaction=True)
            transaction.execute_command("XADD", self.dead_letters, "*", *fields)
            transaction.execute_command("XACK", self.stream.name, self.name, row.id)
            await transaction.execute()
        return message

    @property
    def dead_letters(self) -> str:
        """The name of the stream that ``dead_letter`` puts entries aside in."""
        return f"{self.stream.name}.dlq"

    async def read_claiming(self, worker: str, *, idle: float, count: int = 10) -> list[GroupDelivery]:
        """Return what was pending for ``idle`` seconds, then new entries, up to ``count``, in one question.

        That is XREADGROUP CLAIM, which needs Redis 8.4; raises ``Unsupported`` on an older server. It does
        not wait for entries. They are counted as (re)delivered to ``worker``.
        """
        self.client.version.require("XREADGROUP CLAIM")
        async with asking(f"Redis did not let {worker} read {self._label}"):
            reply: Any = await self.client.native.xreadgroup(
                self.name, worker, {self.stream.name: ">"}, count=count, claim_min_idle_time=int(idle * 1000)
            )
        entries = [entry for _, found in reply for entry in found]
        return self._handed(worker, [((entry[0], entry[1]), _earlier(entry) + 1) for entry in entries])

    async def info(self) -> GroupInfo:
        """Return how many workers, pending and waiting entries it has. Raises ``NotFound``."""
        async with asking(f"Redis did not tell about {self._label}"):
            groups = await self.client.native.xinfo_groups(self.stream.name)
        for group in groups:
            if group["name"] == self.name.encode():
                last_id = group["last-delivered-id"].decode()
                return GroupInfo(group["consumers"], group["pending"], group["lag"], last_id)
        raise NotFound(
            f"There is no group {self.name!r} at {self.stream.name!r}.",
            broker="redis",
            remedy="await stream.group(name) makes it",
        )

    async def remove_worker(self, name: str) -> int:
        """Make the group forget a worker, and return how many entries it had pending.

        These are abandoned: Redis hands them to nobody ever again. Claim them first.
        """
        what = f"remove the worker {name!r} from"
        return int(await self.ask(what, "XGROUP", "DELCONSUMER", self.stream.name, self.name, name))

    async def delete(self) -> None:
        """Remove the group, and what it knows of who has read what. The entries stay."""
        await self.ask("delete", "XGROUP", "DESTROY", self.stream.name, self.name)

    async def ask(self, verb: str, *command: Any) -> Any:
        """Send one command about the group. ``verb`` says what did not succeed, if it does not."""
        return await self.client.ask(f"Redis did not {verb} {self._label}", *command)

    def __repr__(self) -> str:
        return f"<redis group {self.name!r} of {self.stream.name!r}>"


def _earlier(entry: Any) -> int:
    """Return how often an entry was handed out before, as XREADGROUP CLAIM tells it of those it claims."""
    return int(entry[3]) if len(entry) > 3 else 0


def _pending(row: Mapping[str, Any]) -> Pending:
    idle = row["time_since_delivered"] / 1000
    return Pending(row["message_id"].decode(), row["consumer"].decode(), idle, row["times_delivered"])
