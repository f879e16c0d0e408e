"""An account of every message: who sent it, what the broker said, who got it, how often, in which order.

A ledger observes as a feed does, and keeps a 64-bit id for each event: 8 bytes in memory or in a file, some
30 to 50 for a message's whole life. An id is a hash of the payload, so what is counted is what was really
sent and really arrived, and no message has to be changed to be counted. Two messages with the same payload
cannot be told apart; ``verdict().sends`` is then larger than ``attempted``.

With a ``folder`` the ledger survives its process, killed or not, and several processes write to the same one:
each its own files. The verdict is on all of them together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from secrets import token_hex
from time import time_ns

import numpy as np
from xxhash import xxh3_64_intdigest

from labkit.columns import Column, FileColumn, Numbers, read_column
from labkit.events import Kind, Meter, Place
from labkit.message import Message
from labkit.verdict import NO_KEY, NOTHING, Reading, Sending, Verdict, judge

__all__ = ["Identify", "Ledger", "payload"]

Identify = Callable[[Message], bytes]
Append = Callable[[int], None]
KEYS = "keys"
"""The column beside ``sent`` that holds the messages' keys."""
INDEX = "columns.jsonl"
"""A process's list of its columns: line 0 is about ``0.ids``, and so on."""
SENDING = {Kind.SENT, KEYS, Kind.CONFIRMED, Kind.REFUSED}
READING = {Kind.DELIVERED, Kind.REDELIVERED, Kind.SETTLED}
APART = {Kind.DEAD_LETTERED, Kind.EXPIRED}
RECORDED = SENDING | READING | APART


payload: Identify = attrgetter("data")
"""What identifies a message if nobody says otherwise: its payload. It is called for every event."""


@dataclass(frozen=True)
class _Written:
    """One column: what it holds, where, and who wrote it."""

    process: str
    what: str
    place: Place
    numbers: Callable[[], Numbers]


class Ledger:
    """Keeps account of messages; ``verdict`` tells what became of them."""

    def __init__(self, folder: Path | None = None, *, identify: Identify = payload) -> None:
        self._identify = identify
        self._folder = folder
        # By name in the order of their beginnings: of a message sent twice, the first time counts.
        self._own = folder / f"{time_ns():020d}-{token_hex(4)}" if folder else None
        self._columns: dict[tuple[str, Place], Column | FileColumn] = {}
        if self._own is not None:
            self._own.mkdir(parents=True)

    def meter(self, kind: Kind, place: Place) -> Meter:
        """Return the meter for this kind at this place."""
        if kind not in RECORDED:
            return _ignore
        # A message's number is its hash: never 0, and different for each broker.
        seed = xxh3_64_intdigest(place.broker.encode())
        identify = self._identify
        append = self._column(kind, place).append
        if kind is Kind.SENT:
            return _note_with_key(identify, seed, append, self._column(KEYS, place).append)
        if kind is Kind.REDELIVERED:
            return _note_twice(identify, seed, append, self._column(Kind.DELIVERED, place).append)

        def note(message: Message) -> None:
            append(xxh3_64_intdigest(identify(message), seed) or 1)

        return note

    def verdict(
        self,
        *,
        broker: str | None = None,
        channel: str | None = None,
        publishers: Collection[str] | None = None,
        readers: Collection[str] | None = None,
    ) -> Verdict:
        """Return what became of what was sent, as far as these readers together saw it.

        ``channel`` is where it was sent; ``publishers`` and ``readers`` are names; all of them where nothing
        is said. Subscribers that share a queue are one account together; those that get a copy each want a
        verdict each: ``verdict(readers={"billing"})``. Ask when the channel is drained: what is still on its
        way counts as lost.
        """
        columns = [column for column in self._all() if broker in (None, column.place.broker)]
        sendings: dict[tuple[str, Place], dict[str, Numbers]] = {}
        readings: dict[tuple[str, Place], dict[str, Numbers]] = {}
        apart: dict[str, list[Numbers]] = {kind: [] for kind in APART}
        for column in columns:
            where = (column.process, column.place)
            if column.what in SENDING:
                if channel in (None, column.place.channel) and _is_among(column.place.client, publishers):
                    sendings.setdefault(where, {})[column.what] = column.numbers()
            elif column.what in apart:
                apart[column.what].append(column.numbers())
            elif column.what in READING and _is_among(column.place.client, readers):
                readings.setdefault(where, {})[column.what] = column.numbers()
        return judge(
            [_sending(parts) for parts in sendings.values()],
            [Reading(**parts) for parts in readings.values()],
            apart[Kind.DEAD_LETTERED],
            apart[Kind.EXPIRED],
        )

    def _column(self, what: str, place: Place) -> Column | FileColumn:
        column = self._columns.get((what, place))
        if column is None:
            column = self._columns[what, place] = self._new_column(what, place)
        return column

    def _new_column(self, what: str, place: Place) -> Column | FileColumn:
        if self._own is None:
            return Column()
        path = self._own / f"{len(self._columns)}.ids"
        column = FileColumn(path)
        with (self._own / INDEX).open("a", encoding="utf-8") as index:
            index.write(json.dumps([what, *place]) + "\n")
        return column

    def _all(self) -> Iterator[_Written]:
        for process in sorted(self._folder.iterdir()) if self._folder else [None]:
            if process == self._own:
                for (what, place), column in self._columns.items():
                    yield _Written("", what, place, column.numbers)
            elif process is not None:
                yield from _written_by(process)


def _written_by(process: Path) -> Iterator[_Written]:
    index = process / INDEX
    lines = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    for number, line in enumerate(lines):
        what, *place = json.loads(line)
        yield _Written(process.name, what, Place(*place), partial(read_column, process / f"{number}.ids"))


def _sending(parts: dict[str, Numbers]) -> Sending:
    sent = parts.get(Kind.SENT, NOTHING)
    # A process that was killed between the two wrote one key less.
    keys = np.full(sent.size, NO_KEY, dtype=np.uint64)
    written = parts.get(KEYS, NOTHING)[: sent.size]
    keys[: written.size] = written
    return Sending(sent, keys, parts.get(Kind.CONFIRMED, NOTHING), parts.get(Kind.REFUSED, NOTHING))


def _is_among(name: str, names: Collection[str] | None) -> bool:
    return names is None or name in names


def _ignore(message: Message) -> None:
    """Nothing: what is in doubt, or was unheard, shows in what is missing elsewhere."""


def _note_with_key(identify: Identify, seed: int, append: Append, append_key: Append) -> Meter:
    def note(message: Message) -> None:
        append(xxh3_64_intdigest(identify(message), seed) or 1)
        key = message.key
        append_key(NO_KEY if key is None else xxh3_64_intdigest(key.encode()) | 2)

    return note


def _note_twice(identify: Identify, seed: int, append: Append, append_too: Append) -> Meter:
    def note(message: Message) -> None:
        one = xxh3_64_intdigest(identify(message), seed) or 1
        append(one)
        append_too(one)

    return note
