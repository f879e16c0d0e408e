"""A saga with NATS JetStream: one order over three databases, without a transaction that spans them.

What it shows:
  - the orders' service leads: it tells stock, payment and shipping what to do, one after another;
  - when a step is refused, what was done is undone in reverse: money first, then tea;
  - outbox: what is to be said is written with what was done, in one transaction, and sent after it;
  - inbox: everything is sent twice, and taken once. (The server could drop doubles by an id,
    but only for two minutes, and not those of an acknowledgement that was lost.)
  - in the end no tea and no money was lost or made.

Install:  pip install nats-py
Run:      python 06_saga_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from sqlite3 import Connection, connect
from typing import Any
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 20.0
PRICE = 10
ORDERS = ("order 1", "order 2", "order 3")
SERVICE_OF = {
    "reserve": "stock",
    "release": "stock",
    "take": "payment",
    "return": "payment",
    "ship": "shipping",
}
# The whole saga: what follows a step that was done, or refused. Once a parcel is shipped, nothing is undone.
NEXT = {
    ("reserve", True): "take",
    ("reserve", False): "cancelled",
    ("take", True): "ship",
    ("take", False): "release",
    ("ship", True): "completed",
    ("ship", False): "return",
    ("return", True): "release",
    ("release", True): "cancelled",
}
Message = dict[str, Any]
Reaction = list[tuple[str, Message]]
"""Who is to be told, and what."""
React = Callable[[Connection, Message], Reaction]


class Service:
    """A service and its database. What it does, hears and says about one message is one transaction.

    The database is in memory here, so that nothing is left; a real service keeps it in a file.
    """

    def __init__(self, name: str, react: React, amounts: dict[str, int]) -> None:
        self.name, self.react, self.doubles = name, react, 0
        self.db = connect(":memory:")
        self.db.execute("CREATE TABLE amounts (name TEXT PRIMARY KEY, amount INTEGER)")
        self.db.execute("CREATE TABLE states (name TEXT PRIMARY KEY, state TEXT)")
        self.db.execute("CREATE TABLE inbox (id TEXT PRIMARY KEY)")
        self.db.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, receiver TEXT, message TEXT)")
        with self.db:
            self.db.executemany("INSERT INTO amounts VALUES (?, ?)", amounts.items())

    def take(self, message: Message) -> None:
        """React to a message, once: what is in the inbox has been taken before."""
        with self.db:
            if not self.db.execute("INSERT OR IGNORE INTO inbox VALUES (?)", (message["id"],)).rowcount:
                self.doubles += 1
                return
            for receiver, told in self.react(self.db, message):
                text = json.dumps({**told, "id": uuid4().hex})
                self.db.execute("INSERT INTO outbox (receiver, message) VALUES (?, ?)", (receiver, text))

    async def relay(self, send: Callable[[str, str], Awaitable[None]]) -> None:
        """Send what is in the outbox. Twice, as it is after a crash before it is taken out."""
        for number, receiver, text in self.db.execute("SELECT * FROM outbox").fetchall():
            await send(receiver, text)
            await send(receiver, text)
            with self.db:
                self.db.execute("DELETE FROM outbox WHERE id = ?", (number,))

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.db.execute(question).fetchall()


def add(db: Connection, name: str, amount: int) -> bool:
    """Change an amount, unless it is not there or would be less than nothing."""
    change = "UPDATE amounts SET amount = amount + ? WHERE name = ? AND amount + ? >= 0"
    return db.execute(change, (amount, name, amount)).rowcount == 1


def work(db: Connection, message: Message) -> Reaction:
    """Do a step or refuse it, and tell the orders."""
    order, step = message["order"], message["step"]
    if step in ("reserve", "release"):
        done = add(db, "tea", -1 if step == "reserve" else 1)
    elif step in ("take", "return"):
        price = PRICE if step == "take" else -PRICE
        done = add(db, order, -price) and add(db, "shop", price)
    else:
        done = add(db, order, 1)  # There is a row for whoever has an address.
    return [("orders", {"order": order, "step": step, "done": done})]


def orchestrate(db: Connection, message: Message) -> Reaction:
    """Note how far an order is, and send the next command."""
    order, step = message["order"], message["step"]
    state = "reserve" if step == "start" else NEXT[step, message["done"]]
    db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (order, state))
    return [(SERVICE_OF[state], {"order": order, "step": state})] if state in SERVICE_OF else []


def make_shop() -> list[Service]:
    """Return the services: the second customer has too little money, and the third has no address."""
    return [
        Service("orders", orchestrate, {}),
        Service("stock", work, {"tea": 5}),
        Service("payment", work, {"shop": 0, "order 1": 100, "order 2": 3, "order 3": 100}),
        Service("shipping", work, {"order 1": 0, "order 2": 0}),
    ]


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>24}: {got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


def report(shop: list[Service], left_on_broker: int) -> None:
    """Look into the four databases, and check that nothing was lost and nothing was made."""
    orders, stock, payment, shipping = shop
    states = dict(orders.ask("SELECT name, state FROM states ORDER BY name"))
    show("orders", states, {"order 1": "completed", "order 2": "cancelled", "order 3": "cancelled"})
    show("tea left", stock.ask("SELECT amount FROM amounts"), [(4,)])
    show("parcels sent", shipping.ask("SELECT sum(amount) FROM amounts"), [(1,)])
    money = dict(payment.ask("SELECT * FROM amounts"))
    show("money", money, {"shop": PRICE, "order 1": 90, "order 2": 3, "order 3": 100})
    taken = sum(len(service.ask("SELECT * FROM inbox")) for service in shop)
    show("messages, and doubles", (taken, sum(service.doubles for service in shop)), (taken, taken))
    show("left on the broker", left_on_broker, 0)


def is_over(shop: list[Service]) -> bool:
    """Return whether each order has come to an end, and nobody has more to say."""
    ended = shop[0].ask("SELECT * FROM states WHERE state IN ('completed', 'cancelled')")
    return len(ended) == len(ORDERS) and not any(service.ask("SELECT * FROM outbox") for service in shop)


async def run(js: JetStreamContext, name: str, shop: list[Service]) -> None:
    """Give each service a consumer of the stream, start the orders, and wait until all is over."""

    async def send(receiver: str, text: str) -> None:
        await js.publish(f"{name}.{receiver}", text.encode())

    def listener(service: Service) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            service.take(json.loads(message.data))
            await service.relay(send)
            await message.ack()  # At last: had we crashed before, it would come again.

        return hear

    for order in (*ORDERS, *ORDERS):
        shop[0].take({"id": order, "order": order, "step": "start"})
    await shop[0].relay(send)
    for service in shop:
        subject, options = f"{name}.{service.name}", ConsumerConfig(service.name)
        await js.subscribe(
            subject, durable=service.name, cb=listener(service), manual_ack=True, config=options
        )
    with suppress(TimeoutError):  # what is not as it should be then, the report says
        async with asyncio.timeout(DEADLINE):
            while not is_over(shop) or await waiting(js, name):
                await asyncio.sleep(0.02)
    report(shop, await waiting(js, name))


async def waiting(js: JetStreamContext, name: str) -> int:
    """Return how many messages are not acknowledged: the stream forgets those that are."""
    return (await js.stream_info(name)).state.messages


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"shop-{uuid4().hex[:8]}"
    connection = Client()
    try:
        # By default, the first connect would try a wrong address for about two minutes.
        await connection.connect(address, max_reconnect_attempts=1, reconnect_time_wait=1)
        async with AsyncExitStack() as stack:
            js = connection.jetstream()
            queue = RetentionPolicy.WORK_QUEUE  # What is acknowledged is gone.
            await js.add_stream(StreamConfig(name, subjects=[f"{name}.*"], retention=queue))
            stack.push_async_callback(js.delete_stream, name)
            await run(js, name, make_shop())
    finally:
        await connection.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_NATS_URL", DEFAULT_ADDRESS)
    asyncio.run(main(given))
