"""The shop that never sleeps: what it counts."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from labkit.errors import BrokerError, NoAnswer, PublishFailed, PublishInDoubt, PublishRefused
from labkit.patterns.traffic import Count, Traffic


class Shop:
    """A shop whose broker answers orders in turn with these errors; None is a confirm."""

    broker = "kafka"

    def __init__(self, *answers: type[BrokerError] | None, confirms: bool = True) -> None:
        self.confirms = confirms
        self._answers = cycle(answers)

    async def publish(self, event: str, order: Any) -> None:
        if answer := next(self._answers):
            raise answer("It failed.", broker=self.broker, remedy="none")


async def count_of(shop: Any, orders: int) -> Count:
    async with Traffic([shop], rate=10_000) as traffic:
        return (await traffic.send(orders))["kafka"]


async def test_refused_and_in_doubt_are_counted_apart() -> None:
    count = await count_of(Shop(None, PublishRefused, None, PublishInDoubt, PublishInDoubt), 10)
    assert count == Count(attempted=10, confirmed=4, refused=2, in_doubt=4)
    assert count.failed == 6


async def test_an_error_that_does_not_say_that_it_is_a_refusal_leaves_the_order_in_doubt() -> None:
    count = await count_of(Shop(PublishFailed, NoAnswer), 2)
    assert count == Count(attempted=2, confirmed=0, refused=0, in_doubt=2)


async def test_where_no_broker_confirms_nothing_is_confirmed_and_nothing_in_doubt() -> None:
    count = await count_of(Shop(None, confirms=False), 3)
    assert count == Count(attempted=3, confirmed=None, refused=0, in_doubt=0)
