"""A saga with Kafka: one order over three databases, without a transaction that spans them.

What it shows:
  - the orders' service leads: it tells stock, payment and shipping what to do, one after another;
  - when a step is refused, what was done is undone in reverse: money first, then tea;
  - outbox: what is to be said is written with what was done, in one transaction, and sent after it;
  - inbox: everything is sent twice, and taken once. (Kafka's idempotent producer drops
    its own retries, not what a service says again after a crash.)
  - in the end no tea and no money was lost or made.

Install:  pip install aiokafka
Run:      python 06_saga_kafka.py 127.0.0.1:9092
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from sqlite3 import Connection, connect
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

DEFAULT_ADDRESS = "127.0.0.1:9092"
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


Send = Callable[[str, str], Awaitable[None]]


async def serve(service: Service, consumer: AIOKafkaConsumer, send: Send) -> None:
    """Take what comes in the service's topic, and commit its place when all is done."""
    async for record in consumer:
        service.take(json.loads(record.value))
        await service.relay(send)
        await consumer.commit()  # At last: had we crashed before, it would come again.


async def run(stack: AsyncExitStack, address: str, admin: AIOKafkaAdminClient, name: str) -> None:
    """Give each service a topic and a group, start the orders, and wait until all is over."""
    shop, producer = make_shop(), await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=address))

    async def send(receiver: str, text: str) -> None:
        order = json.loads(text)["order"]
        await producer.send_and_wait(f"{name}.{receiver}", text.encode(), key=order.encode())

    for order in (*ORDERS, *ORDERS):
        shop[0].take({"id": order, "order": order, "step": "start"})
    await shop[0].relay(send)
    options = {"bootstrap_servers": address, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    topics = [f"{name}.{service.name}" for service in shop]
    consumers = {topic: AIOKafkaConsumer(topic, group_id=topic, **options) for topic in topics}
    for consumer in consumers.values():
        stack.push_async_callback(consumer.stop)
    # Together, because a server may let each new group wait some seconds for more members.
    await asyncio.gather(*(consumer.start() for consumer in consumers.values()))
    for service, consumer in zip(shop, consumers.values(), strict=True):
        stack.callback(asyncio.create_task(serve(service, consumer, send)).cancel)
    with suppress(TimeoutError):  # what is not as it should be then, the report says
        async with asyncio.timeout(DEADLINE):
            while not is_over(shop) or await waiting(admin, consumers):
                await asyncio.sleep(0.02)
    report(shop, await waiting(admin, consumers))


async def waiting(admin: AIOKafkaAdminClient, consumers: dict[str, AIOKafkaConsumer]) -> int:
    """Return how many messages lie between the services' places and the ends of their topics."""
    left = 0
    for topic, consumer in consumers.items():
        ends = await consumer.end_offsets(consumer.assignment())
        places = await admin.list_consumer_group_offsets(topic)
        left += sum(end - max(places[one].offset if one in places else 0, 0) for one, end in ends.items())
    return left


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    name = f"shop-{uuid4().hex[:8]}"
    topics = [f"{name}.{service.name}" for service in make_shop()]
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        stack.push_async_callback(admin.close)
        await admin.start()
        # The stack runs backwards: the services stop before their topics go. Their places go with these, and
        # Kafka itself removes an empty group.
        stack.push_async_callback(admin.delete_topics, topics)
        await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
        await run(stack, address, admin, name)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_KAFKA_URL", DEFAULT_ADDRESS)
    # A new server, or topic, says "not available" for a moment; the client asks again, and logs that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(given.removeprefix("kafka://")))
