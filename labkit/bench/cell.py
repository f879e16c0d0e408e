"""What is measured: the words of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

__all__ = ["SIZES", "Cell", "Contestant", "Operation", "batches", "make_payloads", "size_words"]

SIZES = (128, 1024, 16 * 1024)
"""Bytes of a payload."""


class Operation(StrEnum):
    """What a contestant does with messages."""

    FIRE = "fire"  # publish, and do not wait for the broker
    CONFIRM = "confirm"  # publish, and wait for the broker's answer before the next
    PIPELINE = "pipeline"  # publish many at once, and wait for the answer to each
    CONSUME = "consume"  # receive one after another in a loop, and acknowledge each where that exists
    HANDLE = "handle"  # receive by a function that is called for each, and acknowledge likewise
    REQUEST = "request"  # ask, and wait for the reply of the contestant's own replier


class Contestant(StrEnum):
    """Who takes part, in the order of the table."""

    RAW = "raw"  # the client library, used as its own documentation does
    OURS = "ours"  # the lab's channel, with nobody observing
    FEED = "feed"  # ours, with a feed that is read 20 times a second
    LEDGER = "ledger"  # ours, with that feed and a ledger
    FASTSTREAM = "faststream"


class Cell(NamedTuple):
    """One line of the table."""

    broker: str
    kind: str
    operation: Operation
    size: int

    def __str__(self) -> str:
        return f"{self.broker} {self.kind}: {self.operation} {size_words(self.size)}"


def size_words(size: int) -> str:
    """Return 128 as ``128 B`` and 1024 as ``1 KiB``."""
    return f"{size // 1024} KiB" if size % 1024 == 0 else f"{size} B"


def make_payloads(count: int, size: int) -> list[bytes]:
    """Return ``count`` different payloads of ``size`` bytes each.

    They are no JSON: FastStream tries to read JSON from whatever comes, and gives up on these at once.
    """
    return [f"{number:08x}".encode().ljust(size, b"x") for number in range(count)]


def batches(payloads: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Yield the payloads in order, ``size`` at a time."""
    for start in range(0, len(payloads), size):
        yield payloads[start : start + size]
