"""A program of its own that publishes to RabbitMQ, or subscribes, and keeps account in a shared folder.

python -m tests.ledger_worker publish|subscribe NAME URL QUEUE FOLDER
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.ledger import Ledger


async def main(role: str, name: str, url: str, channel: str, folder: str) -> None:
    async with RabbitmqClient(url, Ledger(Path(folder))) as client:
        exchange = await client.exchange(channel, "fanout")
        queue = await client.queue(channel, bind=(exchange, ""))
        if role == "subscribe":
            async with queue.subscribe(name) as deliveries:
                async for delivery in deliveries:
                    await delivery.ack()
        for number in itertools.count(1):
            await exchange.publish({"from": name, "order": number}, publisher=name)
            print(number, flush=True)


asyncio.run(main(*sys.argv[1:]))
