"""The inbox: first in, first out, bounded; nobody sleeps for ever, whoever is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from labkit.brokers.inbox import Inbox


async def waiting(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Return tasks that all have begun to wait."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_came_first_is_taken_first() -> None:
    inbox: Inbox[int] = Inbox(3)
    for number in range(3):
        await inbox.put(number)
    assert [await inbox.get() for _ in range(3)] == [0, 1, 2]
    assert inbox.empty()


async def test_whoever_puts_into_a_full_inbox_waits_for_room() -> None:
    inbox: Inbox[int] = Inbox(1)
    await inbox.put(1)
    (giver,) = await waiting(inbox.put(2))
    assert not giver.done()
    assert await inbox.get() == 1
    await giver
    assert await inbox.get() == 2


async def test_whoever_waits_longest_gets_the_next() -> None:
    inbox: Inbox[int] = Inbox(9)
    takers = await waiting(inbox.get(), inbox.get())
    inbox.put_nowait(1)
    inbox.put_nowait(2)
    assert await asyncio.gather(*takers) == [1, 2]


async def test_a_last_word_fits_into_a_full_inbox() -> None:
    inbox: Inbox[int | None] = Inbox(1)
    await inbox.put(1)
    inbox.put_nowait(None)
    assert [inbox.get_nowait(), inbox.get_nowait()] == [1, None]
    with pytest.raises(IndexError):
        inbox.get_nowait()


@pytest.mark.parametrize("is_woken_first", [False, True])
async def test_a_taker_that_is_cancelled_leaves_its_item_to_the_next(is_woken_first: bool) -> None:
    inbox: Inbox[int] = Inbox(9)
    first, second = await waiting(inbox.get(), inbox.get())
    if is_woken_first:
        inbox.put_nowait(1)
        first.cancel()
    else:
        first.cancel()
        inbox.put_nowait(1)
    async with asyncio.timeout(5):
        assert await second == 1
    assert first.cancelled()


async def test_a_giver_that_is_cancelled_leaves_its_room_to_the_next() -> None:
    inbox: Inbox[int] = Inbox(1)
    await inbox.put(1)
    first, second = await waiting(inbox.put(2), inbox.put(3))
    assert inbox.get_nowait() == 1  # wakes the first
    first.cancel()
    async with asyncio.timeout(5):
        await second
    assert inbox.get_nowait() == 3


async def test_clearing_lets_every_giver_go_on() -> None:
    inbox: Inbox[int] = Inbox(2)
    await inbox.put(1)
    await inbox.put(2)
    givers = await waiting(inbox.put(3), inbox.put(4))
    inbox.clear()
    async with asyncio.timeout(5):
        await asyncio.gather(*givers)
    assert [inbox.get_nowait(), inbox.get_nowait()] == [3, 4]
