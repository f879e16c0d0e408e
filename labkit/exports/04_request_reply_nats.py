"""Request and reply with NATS: ask a service, and get its answer.

What it shows:
  - six requests at once, answered last one first, and each gets its own answer;
  - a request to nobody: the server says at once that nobody is there;
  - a reply that comes too late is not taken for the answer to the next request;
  - scatter-gather: ask three suppliers for a price, take what comes in time, name the silent one.

Install:  pip install nats-py
Run:      python 04_request_reply_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE, SHORT_DEADLINE = 5.0, 0.7
STOCK = {"tea": 12, "coffee": 7, "sugar": 30, "milk": 4, "honey": 9, "salt": 15}
PRICES = {"north": "4.10", "east": "3.90", "south": None}  # South never answers.
SERVICES = ("stock", "slow", *PRICES)
NOBODY = "nobody is there"


class Asker:
    """Sends requests; the client finds the request that a reply belongs to."""

    def __init__(self, connection: Client, run: str) -> None:
        self.connection, self.run = connection, run

    async def ask(self, service: str, text: str, seconds: float) -> str | None:
        """Return the answer, or None if none came in time: the work may still have been done."""
        try:
            # Each request has a reply subject of its own: that is its id. A reply is dropped
            # if its request waits no longer.
            reply = await self.connection.request(f"{self.run}.{service}", text.encode(), timeout=seconds)
        except nats.errors.NoRespondersError:
            return NOBODY
        except TimeoutError:
            return None
        return reply.data.decode()


async def serve(inbox: asyncio.Queue[Msg], gave_up: asyncio.Event, sent: list[str]) -> None:
    """Do the work of all services, and send each answer where the request wants it."""
    held: list[Msg] = []
    while message := await inbox.get():
        held.append(message)
        service = message.subject.rpartition(".")[2]
        if service == "stock" and len(held) < len(STOCK):
            continue  # The stock room waits until it has them all.
        if service == "slow":
            await gave_up.wait()
        while held:
            request = held.pop()  # The last one first: the order must not matter to the asker.
            item = request.data.decode()
            if text := PRICES.get(service, f"{item} {STOCK[item]}"):
                await request.respond(text.encode())
                sent.append(text)


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>25}: {'no answer' if got is None else got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def ask_everybody(asker: Asker, gave_up: asyncio.Event, sent: list[str]) -> None:
    """Ask many things at once, nobody, a service that is too slow, and all suppliers."""
    answers = await asyncio.gather(*(asker.ask("stock", item, DEADLINE) for item in STOCK))
    show("six requests at once", answers, [f"{item} {count}" for item, count in STOCK.items()])
    # NATS keeps no request, but it knows who listens: it can say that nobody does.
    show("a request to nobody", await asker.ask("nobody", "tea", SHORT_DEADLINE), NOBODY)
    show("milk, from a slow service", await asker.ask("slow", "milk", SHORT_DEADLINE), None)
    gave_up.set()
    show("the next one, for salt", await asker.ask("slow", "salt", DEADLINE), "salt 15")
    # The client drops a late reply without a word, so the service tells what it sent.
    show("came too late", sent[len(STOCK) : len(STOCK) + 1], ["milk 4"])
    prices = await asyncio.gather(*(asker.ask(name, "tea", SHORT_DEADLINE) for name in PRICES))
    offers = {name: price for name, price in zip(PRICES, prices, strict=True) if price}
    show("offers in time", offers, {name: price for name, price in PRICES.items() if price})
    show("silent", [name for name in PRICES if name not in offers], ["south"])


async def run(stack: AsyncExitStack, connection: Client, name: str) -> None:
    """Start the services, then ask them."""
    inbox, gave_up, sent = asyncio.Queue[Msg](), asyncio.Event(), list[str]()
    for service in SERVICES:
        # In a queue group, several copies of a service would share the requests out.
        await connection.subscribe(f"{name}.{service}", queue=service, cb=inbox.put)
    # Without the flush, a request could reach the server before the subscriptions do.
    await connection.flush()
    stack.callback(asyncio.create_task(serve(inbox, gave_up, sent)).cancel)
    await ask_everybody(Asker(connection, name), gave_up, sent)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    async with AsyncExitStack() as stack:
        connection = Client()
        # Subscriptions live as long as the connection, and NATS keeps nothing else here.
        stack.push_async_callback(connection.close)
        await connection.connect(address)
        await run(stack, connection, f"shop-{uuid4().hex[:8]}")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
