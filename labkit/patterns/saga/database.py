"""One program's own database: its amounts, its inbox and its outbox, changed in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Database", "Letter", "Sent"]

TABLES = """
CREATE TABLE IF NOT EXISTS amounts (name TEXT PRIMARY KEY, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS work (number INTEGER, step TEXT, state TEXT, PRIMARY KEY (number, step));
CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT, address TEXT, message TEXT, is_sent INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS attempts (id TEXT PRIMARY KEY, count INTEGER);
CREATE TABLE IF NOT EXISTS sagas (number INTEGER PRIMARY KEY, phase TEXT, at INTEGER, since REAL);
"""


class Letter(NamedTuple):
    """A message and where it goes."""

    address: str
    message: Mapping[str, Any]


class Sent(NamedTuple):
    """A row of the outbox."""

    n: int
    letter: Letter


class Database:
    """A SQLite file. A new object on the same file finds all that was committed, and nothing else.

    ``checks`` are called at the end of each transaction; what one raises undoes the transaction.
    """

    def __init__(self, path: Path) -> None:
        self.checks: list[Callable[[], None]] = []
        self._db = sqlite3.connect(path, isolation_level=None)
        # Enough for a program that is killed. For a power cut it would be synchronous=FULL, and slower.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + TABLES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that is done inside, or nothing if it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            for check in self.checks:
                check()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def execute(self, command: str, *values: Any) -> sqlite3.Cursor:
        """Run one command of SQL, with its values."""
        return self._db.execute(command, values)

    # Amounts: how much of something there is.

    def begin(self, amounts: Mapping[str, int]) -> None:
        """Set these amounts, unless an earlier run of the program did."""
        self._db.executemany("INSERT OR IGNORE INTO amounts VALUES (?, ?)", amounts.items())

    def amounts(self) -> dict[str, int]:
        """Return how much there is of everything."""
        return dict(self.execute("SELECT name, amount FROM amounts"))

    def add(self, name: str, amount: int) -> None:
        """Add to an amount, or take from it if ``amount`` is negative."""
        self.execute("UPDATE amounts SET amount = amount + ? WHERE name = ?", amount, name)

    # What was done to which order.

    def state_of(self, number: int, step: str) -> str:
        """Return "done" or "undone", or "" if the step was never asked for."""
        row = self.execute("SELECT state FROM work WHERE number = ? AND step = ?", number, step).fetchone()
        return row[0] if row else ""

    def note(self, number: int, step: str, state: str) -> None:
        """Note what was done to an order."""
        self.execute("INSERT OR REPLACE INTO work VALUES (?, ?, ?)", number, step, state)

    # The inbox: which messages were worked on.

    def knows(self, message_id: str) -> bool:
        """Return whether a message of this id was worked on before."""
        return self.execute("SELECT 1 FROM inbox WHERE id = ?", message_id).fetchone() is not None

    def is_new(self, message_id: str) -> bool:
        """Put this id into the inbox; return False if it was there."""
        return self.execute("INSERT OR IGNORE INTO inbox VALUES (?)", message_id).rowcount == 1

    def count_attempt(self, message_id: str) -> int:
        """Note that the work on this message failed; return how often it has by now."""
        self.execute("INSERT OR IGNORE INTO attempts VALUES (?, 0)", message_id)
        self.execute("UPDATE attempts SET count = count + 1 WHERE id = ?", message_id)
        count: int = self.execute("SELECT count FROM attempts WHERE id = ?", message_id).fetchone()[0]
        return count

    # The outbox: what is to be published.

    def send(self, letters: Sequence[Letter]) -> None:
        """Put letters into the outbox. Together with the rest of the transaction, or not at all."""
        for address, message in letters:
            self.execute("INSERT INTO outbox (address, message) VALUES (?, ?)", address, json.dumps(message))

    def unsent(self) -> list[Sent]:
        """Return what is not known to be published, oldest first."""
        rows = self.execute("SELECT n, address, message FROM outbox WHERE NOT is_sent ORDER BY n")
        return [Sent(n, Letter(address, json.loads(message))) for n, address, message in rows]

    def mark_sent(self, n: int) -> None:
        """Note that the broker has confirmed a row of the outbox."""
        self.execute("UPDATE outbox SET is_sent = 1 WHERE n = ?", n)

    def close(self) -> None:
        """Close the file. What was committed stays in it."""
        self._db.close()
