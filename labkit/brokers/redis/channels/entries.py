"""How a message lies in a stream's entry, and in what Redis answers.

An entry is a list of fields. Ours has ``data``, the payload; ``key``, if the message has one; ``h:<name>``
for each header. An entry that somebody else made, without ``data``, is read as a JSON object of its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.message import Message, encode

__all__ = ["Entry", "data_of", "entries_in", "entries_of", "fields_of", "message_of", "timestamp_of"]

Entry = tuple[bytes, Mapping[bytes, bytes]]
"""An entry's id and its fields."""

DATA = b"data"
KEY = b"key"
HEADER = b"h:"


def fields_of(data: bytes, headers: Mapping[str, str] | None, key: str | None) -> list[bytes | str]:
    """Return the fields to add, names and values in turn."""
    fields: list[bytes | str] = [DATA, data]
    if key is not None:
        fields += (KEY, key)
    if headers:
        for name, value in headers.items():
            fields += (f"h:{name}", value)
    return fields


def message_of(stream: str, entry: Entry) -> Message:
    """Return the message in an entry."""
    _, fields = entry
    if len(fields) == 1 and DATA in fields:  # most often the payload is all there is
        return Message(fields[DATA], stream, native=entry)
    headers = {name[2:].decode(): value.decode() for name, value in fields.items() if name.startswith(HEADER)}
    key = fields.get(KEY)
    return Message(
        data_of(entry), stream, key.decode() if key is not None else None, headers or None, native=entry
    )


def data_of(entry: Entry) -> bytes:
    """Return the payload in an entry."""
    _, fields = entry
    data = fields.get(DATA)
    return encode({_text(name): _text(value) for name, value in fields.items()}) if data is None else data


def entries_of(reply: Any) -> Iterator[tuple[bytes, Mapping[bytes, bytes] | None]]:
    """Yield what XREAD or XREADGROUP answers about one stream: ids and fields, None where deleted."""
    for entries in (reply or {}).values():
        for entry_id, fields in entries:
            yield entry_id, None if fields is None else _pairs(fields)


def entries_in(reply: Any) -> list[Entry]:
    """Return the entries in the answer to XRANGE."""
    return [(entry_id, _pairs(fields)) for entry_id, fields in reply]


def timestamp_of(entry_id: str) -> float:
    """Return when Redis made this entry, in seconds since 1970, if it made the id itself."""
    return int(entry_id.partition("-")[0]) / 1000


def _pairs(fields: list[bytes]) -> Mapping[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
