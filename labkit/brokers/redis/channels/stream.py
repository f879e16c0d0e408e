"""Redis streams: a log of entries that stay until they are trimmed, whoever has read them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.pipeline import WINDOW
from labkit.brokers.redis.channels.entries import (
    data_of,
    entries_in,
    entries_of,
    fields_of,
    message_of,
    timestamp_of,
)
from labkit.brokers.redis.channels.group import Group
from labkit.brokers.redis.errors import asking, publish
from labkit.brokers.redis.pipeline import StreamPipeline
from labkit.brokers.redis.reader import BLOCK_SECONDS, ReadingSubscription
from labkit.events import Kind
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["EntryDelivery", "Stream", "StreamSubscription"]

NEWEST = "$"
"""Redis's word for the last entry there is now."""


class Stream(Channel):
    """A Redis stream. An id, say ``1735689600000-0``, tells when its entry was made, and its place."""

    kind = "stream"
    client: RedisClient

    def __init__(
        self,
        client: RedisClient,
        name: str,
        *,
        max_length: int | None = None,
        approximate: bool = True,
        min_id: str | None = None,
    ) -> None:
        super().__init__(client, name)
        self.max_length = max_length
        self.min_id = min_id
        self._head = ("XADD", name, *_trimming(max_length, min_id, approximate))

    def command(
        self, data: bytes, headers: Mapping[str, str] | None, key: str | None, entry_id: str = "*"
    ) -> tuple[Any, ...]:
        """Return the command that adds an entry."""
        return (*self._head, entry_id, *fields_of(data, headers, key))

    async def publish(
        self,
        value: object,
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        once: tuple[str, str] | None = None,
        publisher: str = "shop",
    ) -> str:
        """Add one entry (XADD), and return its id: Redis has it.

        ``once`` is a producer's name and an id of this message: Redis drops what this producer added under
        the same id before (IDMP; needs Redis 8.6, else ``Unsupported``). Raises ``PublishRefused`` or
        ``PublishInDoubt``.
        """
        data = encode(value)
        command = self._command(data, headers, key, once)
        self.client.require_open()
        meters = self.meters(publisher)
        if meters is None:
            return await self._send(command, len(data))
        message = Message(data, self.name, key, headers)
        return await self._observed(self._send(command, len(data)), message, meters)

    add = publish

    def _command(
        self, data: bytes, headers: Mapping[str, str] | None, key: str | None, once: tuple[str, str] | None
    ) -> tuple[Any, ...]:
        if once is None:
            return self.command(data, headers, key)
        self.client.version.require("XADD IDMP")
        name, *trimming = self._head[1:]
        return ("XADD", name, "IDMP", *once, *trimming, "*", *fields_of(data, headers, key))

    async def _send(self, command: tuple[Any, ...], size: int) -> str:
        return str(await publish(self.client, command, self.name, size), "ascii")

    def pipeline(self, window: int = WINDOW, *, publisher: str = "shop") -> StreamPipeline:
        """Return a way to add many entries with up to ``window`` of them unanswered."""
        return StreamPipeline(self, publisher, window)

    def subscribe(self, name: str, *, start: str = "new", batch: int = 100) -> StreamSubscription:
        """Return a reader called ``name``, not yet open, that gets every entry (XREAD), whoever else reads.

        ``start`` is "new", "first", or an id after which to begin. Redis keeps no note of where this reader
        is; ``subscription.position`` is what to begin from the next time.
        """
        return StreamSubscription(self, name, start, batch)

    async def group(self, name: str, *, start: str = "new") -> Group:
        """Return a group, whose workers share the entries; make it, and the stream, unless they are there.

        A new group begins at ``start``: "new", "first", or after an id. One that exists stays where it is.
        Raises ``Conflict`` if the name belongs to something that is no stream.
        """
        group = Group(self, name)
        await group.make({"new": NEWEST, "first": "0"}.get(start, start))
        return group

    async def replay(
        self, first: str = "-", last: str = "+", *, reader: str = "", batch: int = 1000
    ) -> AsyncIterator[EntryDelivery]:
        """Yield the entries from id ``first`` to id ``last`` (XRANGE), read and done with or not.

        A bare time in milliseconds will do for an id. Counted as delivered to ``reader``, if one is named.
        """
        meter = self.client.meter(Kind.DELIVERED, self.name, reader) if reader else None
        read = partial(message_of, self.name)
        while True:
            what = f"Redis did not read {self.name!r} again"
            page = await self.client.ask(what, "XRANGE", self.name, first, last, "COUNT", batch)
            entries = entries_in(page)
            for entry in entries:
                delivery = EntryDelivery(entry, read)
                if meter is not None:
                    meter(delivery.message)
                yield delivery
            if len(entries) < batch:
                return
            first = f"({entries[-1][0].decode()}"

    async def depth(self) -> int:
        """Return how many entries are in the stream, read or not."""
        return int(await self.client.ask(f"Redis did not count {self.name!r}", "XLEN", self.name))

    async def trim(
        self, *, max_length: int | None = None, min_id: str | None = None, approximate: bool = False
    ) -> int:
        """Remove the oldest entries, read or not, and return how many went."""
        trimming = _trimming(max_length, min_id, approximate)
        return int(await self.client.ask(f"Redis did not trim {self.name!r}", "XTRIM", self.name, *trimming))

    async def last_id(self) -> str:
        """Return the id of the newest entry there ever was, "0-0" if there was none."""
        async with asking(f"Redis did not tell where {self.name!r} ends"):
            # In one go, so that nothing comes between; XINFO alone fails where there is no stream.
            transaction = self.client.native.pipeline(transaction=True)
            transaction.exists(self.name)
            transaction.xinfo_stream(self.name)
            exists, info = await transaction.execute(raise_on_error=False)
        if not exists:
            return "0-0"
        if isinstance(info, Exception):
            async with asking(f"{self.name!r} cannot be read as a stream"):
                raise info
        return str(info["last-generated-id"], "ascii")

    async def delete(self) -> None:
        """Remove the stream with every entry and group."""
        await self.client.ask(f"Redis did not delete {self.name!r}", "DEL", self.name)

    def _facts(self) -> dict[str, Any]:
        facts = {"max_length": self.max_length, "min_id": self.min_id}
        return {name: value for name, value in facts.items() if value is not None}


class EntryDelivery(Delivery):
    """An entry that was read. Redis keeps no note of who has read it, so there is nothing to settle."""

    __slots__ = ()

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


class StreamSubscription(ReadingSubscription[EntryDelivery]):
    """One reader of a whole stream, which keeps its own place."""

    channel: Stream

    def __init__(self, stream: Stream, name: str, start: str, batch: int) -> None:
        super().__init__(stream, name)
        self.position = {"first": "0-0"}.get(start, start)
        """The id of the newest entry that was handed over; "new" until it is open."""
        self._batch = batch
        self._read_message = partial(message_of, stream.name)
        self._fetched = self.position

    async def _recover(self) -> None:
        if self.position == "new":
            # The id itself, so that nothing is missed until the first read, or by a new connection.
            self.position = await self.channel.last_id()
        if not self._ready:
            self._fetched = self.position

    def _command(self) -> tuple[Any, ...]:
        block = int(BLOCK_SECONDS * 1000)
        return ("XREAD", "COUNT", self._batch, "BLOCK", block, "STREAMS", self.channel.name, self._fetched)

    async def _take(self, reply: Any) -> None:
        for entry in entries_of(reply):
            self._ready.append(EntryDelivery(entry, self._read_message))
        self._fetched = self._ready[-1].id

    async def _next(self) -> EntryDelivery | None:
        delivery = await super()._next()
        if delivery is not None:
            self.position = delivery.id
        return delivery


def _trimming(max_length: int | None, min_id: str | None, approximate: bool) -> tuple[Any, ...]:
    if max_length is not None and min_id is not None:
        raise ValueError("a stream is trimmed by its length or by an id, not by both")
    about = ("~",) if approximate else ()
    if max_length is not None:
        return ("MAXLEN", *about, max_length)
    return ("MINID", *about, min_id) if min_id is not None else ()
