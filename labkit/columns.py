"""Columns of 64-bit numbers that only grow, in memory or in files that outlive whoever wrote them."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "FileColumn", "Numbers", "read_column"]

Numbers = NDArray[np.uint64]
SIZE = 8
FIRST_ROOM = 4096
"""Numbers a new file has room for; a full one doubles."""


class Column:
    """A column in memory."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self.append: Callable[[int], None] = self._numbers.append

    def numbers(self) -> Numbers:
        """Return all numbers, oldest first."""
        return np.array(self._numbers, dtype=np.uint64)


class FileColumn:
    """A column in a mapped file: each number is safe from the death of this process once it is appended.

    A number is never 0, so the first 0 is the end; nothing else has to be kept in step. What a power loss
    leaves is up to the file system.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._room = FIRST_ROOM
        self._at = 0
        self._file = path.open("w+b")
        self._grow()

    def _grow(self) -> None:
        self._file.truncate(self._room * SIZE)
        self._map = mmap.mmap(self._file.fileno(), self._room * SIZE)
        self._slots = memoryview(self._map).cast("Q")

    def append(self, number: int) -> None:
        """Add one number, which must not be 0."""
        if self._at == self._room:
            self._room *= 2
            self._grow()
        self._slots[self._at] = number
        self._at += 1

    def numbers(self) -> Numbers:
        """Return all numbers, oldest first."""
        return np.array(self._slots[: self._at], dtype=np.uint64)


def read_column(path: Path) -> Numbers:
    """Return the numbers of a column that another process wrote, or is still writing."""
    numbers = np.fromfile(path, dtype=np.uint64)
    ends = np.flatnonzero(numbers == 0)
    return numbers[: ends[0]] if ends.size else numbers
