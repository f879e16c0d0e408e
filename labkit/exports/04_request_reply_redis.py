"""Request and reply with Redis: ask a service, and get its answer.

What it shows:
  - six requests at once, answered last one first, and each gets its own answer;
  - a request to nobody: only silence until the deadline;
  - a reply that comes too late is not taken for the answer to the next request;
  - scatter-gather: ask three suppliers for a price, take what comes in time, name the silent one.

Install:  pip install redis
Run:      python 04_request_reply_redis.py redis://127.0.0.1:6379
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

from redis.asyncio import Redis

DEFAULT_ADDRESS = "redis://127.0.0.1:6379"
DEADLINE, SHORT_DEADLINE = 5.0, 0.7
STOCK = {"tea": 12, "coffee": 7, "sugar": 30, "milk": 4, "honey": 9, "salt": 15}
PRICES = {"north": "4.10", "east": "3.90", "south": None}  # South never answers.
SERVICES = ("stock", "slow", *PRICES)


async def send(redis: Redis, key: str, message: dict[str, str]) -> None:
    """Put a message at the end of a list. If nobody takes it, the list goes after a while."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.rpush(key, json.dumps(message))
        pipe.expire(key, 60)  # seconds
        await pipe.execute()


class Asker:
    """Sends requests, and finds the request that a reply belongs to."""

    def __init__(self, redis: Redis, run: str) -> None:
        self.redis, self.run = redis, run
        self.waiting: dict[str, asyncio.Queue[str]] = {}
        self.late: list[str] = []

    async def ask(self, service: str, text: str, seconds: float) -> str | None:
        """Return the answer, or None if none came in time: the work may still have been done."""
        request = uuid4().hex
        message = {"id": request, "text": text, "reply to": f"{self.run}.replies"}
        replies = self.waiting[request] = asyncio.Queue[str]()
        try:
            async with asyncio.timeout(seconds):
                await send(self.redis, f"{self.run}.{service}", message)
                return await replies.get()
        except TimeoutError:
            return None
        finally:
            del self.waiting[request]

    async def read(self) -> None:
        """Hand each reply to its request. If that one waits no longer, the reply is late."""
        while taken := await self.redis.blpop([f"{self.run}.replies"], timeout=0):
            message = json.loads(taken[1])
            request, text = message["id"], message["text"]
            self.waiting[request].put_nowait(text) if request in self.waiting else self.late.append(text)


async def serve(redis: Redis, run: str, gave_up: asyncio.Event) -> None:
    """Do the work of all services, and send each answer where the request wants it."""
    held: list[dict[str, str]] = []
    # What is taken is gone: if this crashes now, the asker hears nothing, and may ask again.
    while taken := await redis.blpop([f"{run}.{service}" for service in SERVICES], timeout=0):
        held.append(json.loads(taken[1]))
        service = str(taken[0]).rpartition(".")[2]
        if service == "stock" and len(held) < len(STOCK):
            continue  # The stock room waits until it has them all.
        if service == "slow":
            await gave_up.wait()
        while held:
            request = held.pop()  # The last one first: the order must not matter to the asker.
            item, reply_to = request["text"], request["reply to"]
            if text := PRICES.get(service, f"{item} {STOCK[item]}"):
                await send(redis, reply_to, {"id": request["id"], "text": text})


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>25}: {'no answer' if got is None else got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def ask_everybody(asker: Asker, gave_up: asyncio.Event) -> None:
    """Ask many things at once, nobody, a service that is too slow, and all suppliers."""
    answers = await asyncio.gather(*(asker.ask("stock", item, DEADLINE) for item in STOCK))
    show("six requests at once", answers, [f"{item} {count}" for item, count in STOCK.items()])
    # Redis keeps the request for whoever comes: it cannot know that nobody will.
    show("a request to nobody", await asker.ask("nobody", "tea", SHORT_DEADLINE), None)
    show("milk, from a slow service", await asker.ask("slow", "milk", SHORT_DEADLINE), None)
    gave_up.set()
    show("the next one, for salt", await asker.ask("slow", "salt", DEADLINE), "salt 15")
    show("came too late", asker.late, ["milk 4"])
    prices = await asyncio.gather(*(asker.ask(name, "tea", SHORT_DEADLINE) for name in PRICES))
    offers = {name: price for name, price in zip(PRICES, prices, strict=True) if price}
    show("offers in time", offers, {name: price for name, price in PRICES.items() if price})
    show("silent", [name for name in PRICES if name not in offers], ["south"])


async def run(stack: AsyncExitStack, redis: Redis, name: str) -> None:
    """Start the services, then ask them."""
    asker, gave_up = Asker(redis, name), asyncio.Event()
    stack.push_async_callback(redis.delete, *(f"{name}.{end}" for end in (*SERVICES, "nobody", "replies")))
    for work in (serve(redis, name, gave_up), asker.read()):
        stack.callback(asyncio.create_task(work).cancel)
    await ask_everybody(asker, gave_up)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    async with AsyncExitStack() as stack:
        # Without a time-out on the socket: a blocking read may have to wait for long.
        redis = Redis.from_url(address, decode_responses=True, socket_timeout=None)
        stack.push_async_callback(redis.aclose)
        await run(stack, redis, f"shop-{uuid4().hex[:8]}")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_REDIS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
