"""What keeping account costs: bytes a message and time an event, at ten million messages.

Every message is sent, confirmed, delivered and settled, but for one in a million that is lost and one that
arrives twice. The verdict must find exactly those.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from labkit.events import Kind, Place
from labkit.ledger import Ledger
from labkit.message import Message

STEP = 100_000
RARE = 1_000_000


def resident() -> int:
    """Return the bytes of memory this process holds."""
    return int(psutil.Process().memory_info().rss)


def keep_account(ledger: Ledger, count: int, where: str) -> float:
    """Note ``count`` messages; return seconds spent in the ledger's meters."""
    sent, confirmed, delivered, settled = (
        ledger.meter(kind, Place("nats", "orders", client))
        for kind, client in (
            (Kind.SENT, "shop"),
            (Kind.CONFIRMED, "shop"),
            (Kind.DELIVERED, "billing"),
            (Kind.SETTLED, "billing"),
        )
    )
    numbers = iter(range(count))
    spent = 0.0
    for _ in track(range(0, count, STEP), description=where):
        messages = [Message(b"%d" % number, "orders") for number in islice(numbers, STEP)]
        began = time.perf_counter()
        for number, message in enumerate(messages):
            sent(message)
            confirmed(message)
            if number == 0 and int(message.data) % RARE == 0:
                continue  # lost
            delivered(message)
            settled(message)
        spent += time.perf_counter() - began
        if int(messages[0].data) % RARE == 0:
            delivered(messages[1])  # once more
    return spent


def measure(folder: Path | None, count: int) -> tuple[str, ...]:
    """Return a row: where, bytes a message, time an event, seconds for the verdict."""
    where = "in files" if folder else "in memory"
    before = resident()
    ledger = Ledger(folder)
    spent = keep_account(ledger, count, where)
    files = sum(path.stat().st_blocks * 512 for path in folder.rglob("*.ids")) if folder else 0
    held = files or resident() - before
    began = time.perf_counter()
    verdict = ledger.verdict()
    seconds = time.perf_counter() - began
    rare = -(-count // RARE)
    found = (verdict.attempted, verdict.confirmed, verdict.lost, verdict.duplicated)
    if found != (count, count, rare, rare):
        sys.exit(f"The verdict is wrong: {verdict}")
    per_event = f"{spent / (4 * count) * 1e9:.0f} ns"
    return where, f"{held / count:.0f}", per_event, f"{seconds:.1f} s"


def main() -> None:
    """Print one row for a ledger in memory and one for a ledger in files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    count = parser.parse_args().messages
    title = f"{count:,} messages, four events each"
    table = Table("ledger", "bytes a message", "time an event", "verdict in", title=title)
    table.add_row(*measure(None, count))  # first: memory that was freed would be used again, uncounted
    with tempfile.TemporaryDirectory() as folder:
        table.add_row(*measure(Path(folder), count))
    Console().print(table)


if __name__ == "__main__":
    main()
