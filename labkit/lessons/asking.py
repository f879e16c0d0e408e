"""What becomes of requests whose responder is away, and of one whose responder goes in the middle of it."""

from __future__ import annotations

import asyncio
from typing import Any

from labkit.errors import NoReply
from labkit.lessons.reading import wait_for
from labkit.patterns.replies import RequestReply
from labkit.patterns.stock import StockRoom

__all__ = ["ask_while_away", "leave_at_work"]

AWAY_SECONDS = 0.5
ANSWER_SECONDS = 30.0
TAKE_OVER_SECONDS = 5.0
"""Kafka's group needs one to two seconds until it has shared its partitions out anew."""

COUNT_TEA = {"count": "tea"}


async def ask_while_away(stock: RequestReply[Any], room: StockRoom, name: str = "stockroom") -> int:
    """Ask three times while the responder is away, wait until all have given up, and let it come back.

    Returns how many of the three it worked on all the same, when it is done with all that it was handed.
    """
    await stock.leave(name)
    handled, responder = room.handled, stock.responders[name]
    seen, begin = responder.taken + responder.skipped, await _end_of_log(stock)
    asked = (stock.ask(COUNT_TEA, AWAY_SECONDS) for _ in range(3))
    await asyncio.gather(*asked, return_exceptions=True)
    await _expired(stock)
    await stock.serve(name, room.handle)
    await stock.ask(COUNT_TEA, ANSWER_SECONDS)
    in_log = await _end_of_log(stock) - begin

    async def has_seen_the_log() -> bool:  # Kafka keeps order in a partition only, so the last may be first
        return responder.taken + responder.skipped >= seen + in_log

    await wait_for(has_seen_the_log)
    return room.handled - handled - 1


async def _expired(stock: RequestReply[Any]) -> None:
    """Wait until RabbitMQ, where requests expire, has dropped what was given up. The others drop nothing.

    Its clock starts when a request arrives, so it ends a moment after the asker's.
    """
    if stock.broker == "rabbitmq":
        queue: Any = await stock.channel()

        async def is_empty() -> bool:
            return bool(await queue.depth() == 0)

        await wait_for(is_empty)


async def _end_of_log(stock: RequestReply[Any]) -> int:
    """Return how many requests there ever were in Kafka's topic; 0 for brokers that keep no log."""
    channel: Any = await stock.channel()
    return int(await channel.end_offset()) if stock.broker == "kafka" else 0


async def leave_at_work(stock: RequestReply[Any]) -> str:
    """Let a responder go away in the middle of its work while another is ready; return who replied.

    Both are new, ``leaver`` and ``stayer``; whoever served before goes away.
    """
    for name in stock.responders:
        await stock.leave(name)
    begun = asyncio.Event()

    async def never_done(_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def answer(_: Any) -> str:
        return "done"

    await stock.serve("leaver", never_done)
    asking = asyncio.create_task(stock.ask("reserve", TAKE_OVER_SECONDS))
    try:
        await asyncio.wait([asking, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
        await stock.serve("stayer", answer)
        await stock.leave("leaver")
        return (await asking).by
    except NoReply:
        return "nobody"
