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
from collections.abc import Awaitable, Callable
from uuid import uuid4

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 5.0
SHORT_DEADLINE = 0.5
OFFER_DEADLINE = 1.0
STOCK = {"tea": 12, "coffee": 7, "sugar": 30, "milk": 4, "honey": 9, "salt": 15}
PRICES = {"north": "4.10", "east": "3.90", "south": "4.40"}
SILENT = "south"

# What a service gets: the question, and a function that sends the answer back.
Request = tuple[str, Callable[[str], Awaitable[None]]]
Inbox = asyncio.Queue[Request]


class Asker:
    """Sends requests and waits for their replies."""

    def __init__(self, connection: Client, prefix: str) -> None:
        self.connection = connection
        self.prefix = prefix

    async def ask(self, service: str, text: str, seconds: float) -> str | None:
        """Return the answer, or None if none came in time. LookupError: nobody is there."""
        try:
            # The client gives each request a reply subject of its own. That is how it finds the
            # request for a reply, and it drops a reply whose request waits no longer.
            reply = await self.connection.request(f"{self.prefix}.{service}", text.encode(), timeout=seconds)
        except nats.errors.NoRespondersError:
            raise LookupError(service) from None
        except TimeoutError:
            return None  # This says nothing about the work: it may have been done.
        return reply.data.decode()


async def serve(connection: Client, prefix: str, service: str) -> Inbox:
    """Return an inbox that gets this service's requests."""
    inbox: Inbox = asyncio.Queue()

    async def keep(message: Msg) -> None:
        async def reply(text: str) -> None:
            await connection.publish(message.reply, text.encode())

        inbox.put_nowait((message.data.decode(), reply))

    # In a queue group, several copies of a service would share the requests out.
    await connection.subscribe(f"{prefix}.{service}", queue=service, cb=keep)
    # Without the flush, a request could reach the server before the subscription does.
    await connection.flush()
    return inbox


async def stock_room(inbox: Inbox) -> None:
    """Answer when all requests are in, the last one first: order must not matter to the asker."""
    for text, reply in reversed([await inbox.get() for _ in STOCK]):
        await reply(f"{text} {STOCK[text]}")


async def slow_room(inbox: Inbox, gave_up: asyncio.Event, sent: list[str]) -> None:
    """Answer two requests, in order, but not before the asker has given the first one up."""
    for _ in range(2):
        text, reply = await inbox.get()
        await gave_up.wait()
        await reply(f"{text} {STOCK[text]}")
        sent.append(text)


async def supplier(inbox: Inbox, name: str) -> None:
    """Offer a price, or say nothing."""
    _, reply = await inbox.get()
    if name != SILENT:
        await reply(PRICES[name])


async def many_at_once(asker: Asker) -> None:
    """Each of six requests in flight gets its own answer."""
    answers = await asyncio.gather(*(asker.ask("stock", item, DEADLINE) for item in STOCK))
    print("six at once: " + ", ".join(str(answer) for answer in answers))
    if answers != [f"{item} {count}" for item, count in STOCK.items()]:
        raise SystemExit("Each request should have got its own answer.")


async def ask_nobody(asker: Asker) -> None:
    """NATS knows its subscribers, so it can say that there is none."""
    try:
        await asker.ask("nobody", "tea", SHORT_DEADLINE)
    except LookupError:
        print("     nobody: the server said at once that nobody is there")
    else:
        raise SystemExit("The server should have said that nobody is there.")


async def late_reply(asker: Asker, gave_up: asyncio.Event, sent: list[str]) -> None:
    """The reply to the first request arrives while the second one waits."""
    first = await asker.ask("slow", "milk", SHORT_DEADLINE)
    gave_up.set()
    second = await asker.ask("slow", "salt", DEADLINE)
    print(f" late reply: milk got {first}, salt got {second!r}; the client dropped the late reply")
    if first is not None or second != "salt 15" or sent[:1] != ["milk"]:
        raise SystemExit("The late reply should have come, and not as the answer to the next request.")


async def best_offer(asker: Asker) -> None:
    """Ask all suppliers, and do not wait for the slowest."""
    replies = await asyncio.gather(*(asker.ask(name, "tea", OFFER_DEADLINE) for name in PRICES))
    offers = {name: price for name, price in zip(PRICES, replies, strict=True) if price}
    silent = [name for name in PRICES if name not in offers]
    print(f"     offers: {offers}, best: {min(offers, key=offers.__getitem__, default=None)}, silent: {silent}")
    if silent != [SILENT] or any(PRICES[name] != price for name, price in offers.items()):
        raise SystemExit(f"All but {SILENT} should have made their offer.")


async def run(connection: Client, prefix: str) -> None:
    """Start the services, then ask them."""
    gave_up, sent = asyncio.Event(), list[str]()
    inboxes = {name: await serve(connection, prefix, name) for name in ("stock", "slow", *PRICES)}
    asker = Asker(connection, prefix)
    async with asyncio.TaskGroup() as services:
        services.create_task(stock_room(inboxes["stock"]))
        services.create_task(slow_room(inboxes["slow"], gave_up, sent))
        for name in PRICES:
            services.create_task(supplier(inboxes[name], name))
        await many_at_once(asker)
        await ask_nobody(asker)
        await late_reply(asker, gave_up, sent)
        await best_offer(asker)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    connection = Client()
    try:
        await connection.connect(address)
        await run(connection, f"shop-{uuid4().hex[:8]}")
    finally:
        # Subscriptions live as long as the connection, and NATS keeps nothing else here.
        await connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
