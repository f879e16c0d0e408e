"""Hidden faults: a handler that stands them is seen to, and one that does not, too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from labkit.lessons.faults import Fault, crash_first, crash_in_step, dies_after, twice, undergo, unharmed

ORDERS = [1, 2]


class Shop:
    """A shop whose ``charge`` takes money each time, and whose ``charge_once`` knows what was paid."""

    def __init__(self) -> None:
        self.charged: list[int] = []
        self.settled: list[int] = []

    async def charge(self, order: int) -> None:
        self.charged.append(order)

    async def charge_once(self, order: int) -> None:
        if order not in self.charged:
            await self.charge(order)


async def test_without_a_fault_each_delivery_is_handed_over_once() -> None:
    shop = Shop()
    assert await undergo(shop.charge, ORDERS, unharmed) == ""
    assert shop.charged == ORDERS


async def test_twice_catches_the_handler_that_does_its_work_again() -> None:
    careless, careful = Shop(), Shop()
    await undergo(careless.charge, ORDERS, twice)
    await undergo(careful.charge_once, ORDERS, twice)
    assert careless.charged == [1, 1, 2, 2]
    assert careful.charged == ORDERS


async def test_a_crash_at_the_first_wait_catches_the_handler_that_settles_first() -> None:
    async def settles_first(order: int) -> None:
        if order in shop.settled:
            return  # it is not handed out again
        shop.settled.append(order)
        await asyncio.sleep(0)
        await shop.charge(order)

    async def works_first(order: int) -> None:
        await asyncio.sleep(0)
        await shop.charge_once(order)
        shop.settled.append(order)

    for handler, charged in ((settles_first, []), (works_first, ORDERS)):
        shop = Shop()
        assert await undergo(handler, ORDERS, crash_first) == ""
        assert (shop.charged, shop.settled) == (charged, ORDERS)


async def test_a_crash_right_after_a_step_leaves_what_the_step_did() -> None:
    shop = Shop()
    charge = dies_after(shop.charge)

    async def handler(order: int) -> None:
        try:
            await charge(order)
        except Exception:  # a crash is none
            raise AssertionError from None
        shop.settled.append(order)

    assert await undergo(handler, ORDERS, crash_in_step) == ""
    assert shop.charged == [1, 1, 2]
    assert shop.settled == ORDERS


@pytest.mark.parametrize("fault", [unharmed, twice, crash_first, crash_in_step])
async def test_a_plain_handler_and_its_error_are_told_in_words(fault: Fault) -> None:
    def broken(order: int) -> None:
        raise KeyError("amount")

    assert await undergo(broken, ORDERS, fault) == "Your handler raised KeyError: 'amount'"


async def test_interrupting_a_check_ends_the_handler_with_it() -> None:
    ended = asyncio.Event()

    async def hangs(order: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    check = asyncio.create_task(undergo(hangs, ORDERS, crash_in_step))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    await asyncio.wait_for(ended.wait(), 10)
