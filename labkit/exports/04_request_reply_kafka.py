"""Request and reply with Kafka: ask a service, and get its answer.

What it shows:
  - six requests at once, answered last one first, and each gets its own answer;
  - a request to nobody: only silence until the deadline;
  - a reply that comes too late is not taken for the answer to the next request;
  - scatter-gather: ask three suppliers for a price, take what comes in time, name the silent one.

Install:  pip install aiokafka
Run:      python 04_request_reply_kafka.py 127.0.0.1:9092
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

DEFAULT_ADDRESS = "127.0.0.1:9092"
DEADLINE, SHORT_DEADLINE = 5.0, 0.7
STOCK = {"tea": 12, "coffee": 7, "sugar": 30, "milk": 4, "honey": 9, "salt": 15}
PRICES = {"north": "4.10", "east": "3.90", "south": None}  # South never answers.
SERVICES = ("stock", "slow", *PRICES)


class Asker:
    """Sends requests, and finds the request that a reply belongs to."""

    def __init__(self, producer: AIOKafkaProducer, run: str) -> None:
        self.producer, self.run = producer, run
        self.waiting: dict[str, asyncio.Queue[str]] = {}
        self.late: list[str] = []

    async def ask(self, service: str, text: str, seconds: float) -> str | None:
        """Return the answer, or None if none came in time: the work may still have been done."""
        request = uuid4().hex
        headers = [("id", request.encode()), ("reply to", f"{self.run}.replies".encode())]
        replies = self.waiting[request] = asyncio.Queue[str]()
        try:
            async with asyncio.timeout(seconds):
                await self.producer.send_and_wait(f"{self.run}.{service}", text.encode(), headers=headers)
                return await replies.get()
        except TimeoutError:
            return None
        finally:
            del self.waiting[request]

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        """Hand each reply to its request. If that one waits no longer, the reply is late."""
        async for message in consumer:
            request, text = dict(message.headers)["id"].decode(), message.value.decode()
            self.waiting[request].put_nowait(text) if request in self.waiting else self.late.append(text)


async def serve(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, gave_up: asyncio.Event) -> None:
    """Do the work of all services, and send each answer where the request wants it."""
    held: list[ConsumerRecord] = []
    async for message in consumer:
        held.append(message)
        service = message.topic.rpartition(".")[2]
        if service == "stock" and len(held) < len(STOCK):
            continue  # The stock room waits until it has them all.
        if service == "slow":
            await gave_up.wait()
        while held:
            request = held.pop()  # The last one first: the order must not matter to the asker.
            item, reply_to = request.value.decode(), dict(request.headers)["reply to"].decode()
            if text := PRICES.get(service, f"{item} {STOCK[item]}"):
                await producer.send_and_wait(reply_to, text.encode(), headers=list(request.headers))
        await consumer.commit()  # After the work: a crash loses no request.


def show(what: str, got: object, expected: object) -> None:
    """Print what happened, and stop with an error if it is not what should have happened."""
    print(f"{what:>25}: {'no answer' if got is None else got}")
    if got != expected:
        raise SystemExit(f"{what}: this should have been {expected}.")


async def ask_everybody(asker: Asker, gave_up: asyncio.Event) -> None:
    """Ask many things at once, nobody, a service that is too slow, and all suppliers."""
    answers = await asyncio.gather(*(asker.ask("stock", item, DEADLINE) for item in STOCK))
    show("six requests at once", answers, [f"{item} {count}" for item, count in STOCK.items()])
    # Kafka keeps the request for whoever comes: it cannot know that nobody will.
    show("a request to nobody", await asker.ask("nobody", "tea", SHORT_DEADLINE), None)
    show("milk, from a slow service", await asker.ask("slow", "milk", SHORT_DEADLINE), None)
    gave_up.set()
    show("the next one, for salt", await asker.ask("slow", "salt", DEADLINE), "salt 15")
    show("came too late", asker.late, ["milk 4"])
    prices = await asyncio.gather(*(asker.ask(name, "tea", SHORT_DEADLINE) for name in PRICES))
    offers = {name: price for name, price in zip(PRICES, prices, strict=True) if price}
    show("offers in time", offers, {name: price for name, price in PRICES.items() if price})
    show("silent", [name for name in PRICES if name not in offers], ["south"])


async def run(stack: AsyncExitStack, address: str, name: str) -> None:
    """Start the services, then ask them."""
    producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=address))
    options = {"bootstrap_servers": address, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    services = AIOKafkaConsumer(*(f"{name}.{end}" for end in SERVICES), group_id=name, **options)
    replies = AIOKafkaConsumer(f"{name}.replies", **options)  # No group: it has no place to keep.
    asker, gave_up = Asker(producer, name), asyncio.Event()
    for consumer, work in ((services, serve(services, producer, gave_up)), (replies, asker.read(replies))):
        stack.push_async_callback(consumer.stop)
        await consumer.start()
        stack.callback(asyncio.create_task(work).cancel)
    await ask_everybody(asker, gave_up)


async def main(address: str) -> None:
    """Connect, run, and leave nothing behind."""
    address, name = address.removeprefix("kafka://"), f"shop-{uuid4().hex[:8]}"
    topics = [f"{name}.{end}" for end in (*SERVICES, "nobody", "replies")]
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        stack.push_async_callback(admin.close)
        await admin.start()
        stack.push_async_callback(admin.delete_topics, topics)  # Runs after the consumers have stopped.
        await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
        await run(stack, address, name)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LABKIT_KAFKA_URL", DEFAULT_ADDRESS)
    # A new server, or topic, says "not available" for a moment; the client asks again, and logs that.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(given))
