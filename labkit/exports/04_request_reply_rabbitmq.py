"""Request and reply with RabbitMQ: ask a service, and get its answer.

What it shows:
  - six requests at once, answered last one first, and each gets its own answer;
  - a request to nobody: the server gives it back, for there is no such queue;
  - a reply that comes too late is not taken for the answer to the next request;
  - scatter-gather: ask three suppliers for a price, take what comes in time, name the silent one.

Install:  pip install aio-pika
Run:      python 04_request_reply_rabbitmq.py amqp://guest:guest@127.0.0.1:5672/
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

DEFAULT_ADDRESS = "amqp://guest:guest@127.0.0.1:5672/"
DEADLINE, SHORT_DEADLINE = 5.0, 0.7
STOCK = {"tea": 12, "coffee": 7, "sugar": 30, "milk": 4, "honey": 9, "salt": 15}
PRICES = {"north": "4.10", "east": "3.90", "south": None}  # South never answers.
SERVICES = ("stock", "slow", *PRICES)
NOBODY = "nobody is there"
Inbox = asyncio.Queue[AbstractIncomingMessage]


class Asker:
    """Sends requests, and finds the request that a reply belongs to."""

    def __init__(self, channel: AbstractChannel, run: str) -> None:
        self.channel, self.run = channel, run
        self.waiting: dict[str, asyncio.Queue[str]] = {}
        self.late: list[str] = []

    async def ask(self, service: str, text: str, seconds: float) -> str | None:
        """Return the answer, or None if none came in time: the work may still have been done."""
        request = uuid4().hex
        message = aio_pika.Message(text.encode(), correlation_id=request, reply_to=f"{self.run}.replies")
        replies = self.waiting[request] = asyncio.Queue[str]()
        try:
            async with asyncio.timeout(seconds):
                await self.channel.default_exchange.publish(message, f"{self.run}.{service}", mandatory=True)
                return await replies.get()
        except aio_pika.exceptions.PublishError:
            return NOBODY
        except TimeoutError:
            return None
        finally:
            del self.waiting[request]

    async def read(self, message: AbstractIncomingMessage) -> None:
        """Hand a reply to its request. If that one waits no longer, the reply is late."""
        request, text = message.correlation_id or "", message.body.decode()
        self.waiting[request].put_nowait(text) if request in self.waiting else self.late.append(text)


async def serve(inbox: Inbox, channel: AbstractChannel, gave_up: asyncio.Event) -> None:
    """Do the work of all services, and send each answer where the request wants it."""
    held: list[AbstractIncomingMessage] = []
    while message := await inbox.get():
        held.append(message)
        service = (message.routing_key or "").rpartition(".")[2]
        if service == "stock" and len(held) < len(STOCK):
            continue  # The stock room waits until it has them all.
        if service == "slow":
            await gave_up.wait()
        while held:
            request = held.pop()  # The last one first: the order must not matter to the asker.
            item, reply_to = request.body.decode(), request.reply_to or ""
            if text := PRICES.get(service, f"{item} {STOCK[item]}"):
                reply = aio_pika.Message(text.encode(), correlation_id=request.correlation_id)
                await channel.default_exchange.publish(reply, reply_to, mandatory=False)  # It may be gone.
            await request.ack()  # After the work: a crash loses no request.


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>25}: {'no answer' if got is None else got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def ask_everybody(asker: Asker, gave_up: asyncio.Event) -> None:
    """Ask many things at once, nobody, a service that is too slow, and all suppliers."""
    answers = await asyncio.gather(*(asker.ask("stock", item, DEADLINE) for item in STOCK))
    show("six requests at once", answers, [f"{item} {count}" for item, count in STOCK.items()])
    # A request that fits no queue comes back. A queue without a reader would just keep it.
    show("a request to nobody", await asker.ask("nobody", "tea", SHORT_DEADLINE), NOBODY)
    show("milk, from a slow service", await asker.ask("slow", "milk", SHORT_DEADLINE), None)
    gave_up.set()
    show("the next one, for salt", await asker.ask("slow", "salt", DEADLINE), "salt 15")
    show("came too late", asker.late, ["milk 4"])
    prices = await asyncio.gather(*(asker.ask(name, "tea", SHORT_DEADLINE) for name in PRICES))
    offers = {name: price for name, price in zip(PRICES, prices, strict=True) if price}
    show("offers in time", offers, {name: price for name, price in PRICES.items() if price})
    show("silent", [name for name in PRICES if name not in offers], ["south"])


async def run(stack: AsyncExitStack, channel: AbstractChannel, name: str) -> None:
    """Start the services, then ask them."""
    inbox, gave_up, asker = Inbox(), asyncio.Event(), Asker(channel, name)
    for service in SERVICES:
        queue = await channel.declare_queue(
            f"{name}.{service}", durable=True, arguments={"x-queue-type": "quorum"}
        )
        stack.push_async_callback(queue.delete, if_unused=False, if_empty=False)
        stack.push_async_callback(queue.cancel, await queue.consume(inbox.put))
    replies = await channel.declare_queue(f"{name}.replies", exclusive=True)  # Goes with the connection.
    await replies.consume(asker.read, no_ack=True)
    stack.callback(asyncio.create_task(serve(inbox, channel, gave_up)).cancel)
    await ask_everybody(asker, gave_up)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    connection = await aio_pika.connect(address)
    async with connection, AsyncExitStack() as stack:
        channel = await connection.channel(on_return_raises=True)  # A returned request is an error.
        await run(stack, channel, f"shop-{uuid4().hex[:8]}")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_RABBITMQ_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
