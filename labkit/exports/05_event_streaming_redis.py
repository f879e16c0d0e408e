"""Event streaming with Redis: a log that is kept, and read as often as you like.

What it shows:
  - ten events of an online shop, appended to a stream: reading takes nothing away;
  - replay from the start, and from a moment: an entry's id begins with the server's time;
  - two readers, each with its own place: billing stops after four events, and later goes on with the fifth;
  - a view, the state of each order, rebuilt from the log: the same each time.

Redis cannot compact a stream: it drops the oldest entries (MAXLEN, MINID), whatever their order is.

Install:  pip install redis
Run:      python 05_event_streaming_redis.py redis://127.0.0.1:6379
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

DEFAULT_ADDRESS = "redis://127.0.0.1:6379"
Event = tuple[str, str]
BEFORE: list[Event] = [("1", "placed"), ("2", "placed"), ("1", "paid"), ("3", "placed"), ("2", "paid")]
AFTER: list[Event] = [("3", "cancelled"), ("1", "shipped"), ("4", "placed"), ("2", "shipped"), ("4", "paid")]
ALL = [*BEFORE, *AFTER]


async def append(redis: Redis, name: str, events: Sequence[Event]) -> None:
    """Append events. The server gives each an id, "milliseconds-number", always greater than the last."""
    for order, step in events:
        await redis.xadd(name, {"order": order, "step": step})


async def replay(redis: Redis, name: str, start: str = "-") -> list[Event]:
    """Read from an id to the end. Nobody's place is kept."""
    entries: Any = await redis.xrange(name, min=start)
    return [(fields["order"], fields["step"]) for _, fields in entries]


async def read(redis: Redis, name: str, reader: str, at_most: int = 100) -> list[Event]:
    """Read from the reader's place to the end. A group of one keeps that place."""
    found: Any = await redis.xreadgroup(reader, "me", {name: ">"}, count=at_most)
    entries = found[0][1] if found else []
    for number, _ in entries:
        await redis.xack(name, reader, number)  # Done with it: after a crash, it would not come again.
    return [(fields["order"], fields["step"]) for _, fields in entries]


def view_of(events: Sequence[Event]) -> dict[str, str]:
    """Return the state of each order: its last event."""
    return dict(events)


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def run(redis: Redis, name: str) -> None:
    """Append, and read in each way."""
    await append(redis, name, BEFORE)
    # The server's own clock: the time in the last id, and a millisecond more.
    newest: Any = await redis.xrevrange(name, count=1)
    moment = str(int(newest[0][0].partition("-")[0]) + 1)
    await asyncio.sleep(0.01)
    await append(redis, name, AFTER)

    log = await replay(redis, name)
    show("from the start", f"{len(log)} events, in order: {log == ALL}", f"{len(ALL)} events, in order: True")
    show("from a moment", words(await replay(redis, name, moment)), words(AFTER))

    for reader in ("billing", "stock"):
        await redis.xgroup_create(name, reader, id="0")
    show("billing reads four", words(await read(redis, name, "billing", at_most=4)), words(ALL[:4]))
    show("stock reads on its own", len(await read(redis, name, "stock")), len(ALL))
    lags = {group["name"]: group["lag"] for group in await redis.xinfo_groups(name)}
    show("not read yet", lags, {"billing": len(ALL) - 4, "stock": 0})
    show("billing goes on", words(await read(redis, name, "billing")), words(ALL[4:]))

    view = view_of(log)
    show("a view of the log", view, {"1": "shipped", "2": "shipped", "3": "cancelled", "4": "paid"})
    show("the view, built anew", view_of(await replay(redis, name)), view)


def words(events: Sequence[Event]) -> str:
    """Return events as a line of text."""
    return ", ".join(f"{order} {step}" for order, step in events)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"orders-{uuid4().hex[:8]}"
    async with Redis.from_url(address, decode_responses=True) as redis:
        try:
            await run(redis, name)
        finally:
            await redis.delete(name)  # Its readers' places go with it.


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_REDIS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
