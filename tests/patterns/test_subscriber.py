"""Somebody who reads the shop's orders, and how long each takes them."""

from __future__ import annotations

import asyncio
from typing import Any

from labkit.brokers.delivery import Delivery
from labkit.message import Message
from labkit.patterns.publish_subscribe import ANY_EVENT, Subscriber

ORDER = Delivery(b'{"order": 1}', lambda data: Message(data, "orders"))


async def test_a_slow_subscriber_has_an_order_only_when_it_has_worked_on_it() -> None:
    nowhere: Any = None
    billing = Subscriber("billing", ANY_EVENT, nowhere)
    billing.seconds = 3600.0
    work = asyncio.create_task(billing.take(ORDER))
    await asyncio.sleep(0)
    assert billing.numbers == []
    billing.seconds = 0.0  # from now on it is quick, with the order at hand, too
    await work
    assert billing.numbers == [1]
