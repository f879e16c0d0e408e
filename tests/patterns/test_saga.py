"""A saga on each broker: orders end, money and stock are conserved, whoever dies and whatever comes twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from labkit.patterns.saga import CrashPoint, NotConserved, Phase, lanes_of
from labkit.patterns.saga.steps import Saga
from tests.patterns.saga_shops import Shops, declined

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPLETED, COMPENSATED, STUCK = Phase.COMPLETED, Phase.COMPENSATED, Phase.STUCK


@pytest.fixture(params=["orchestrated", "choreographed"])
def style(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest_asyncio.fixture(loop_scope="session")
async def shops(client: Any, tmp_path: Path) -> AsyncIterator[Shops]:
    shops = Shops(client, tmp_path)
    yield shops
    await shops.close()


async def test_an_order_is_completed_or_compensated_and_all_is_conserved(shops: Shops, style: Any) -> None:
    shop = await shops.open(style=style)
    shop.world.declines = declined
    assert await shop.buy(1, 2, 3, 4, 5) == [COMPLETED, COMPENSATED, COMPLETED, COMPENSATED, COMPLETED]
    books = shop.books()
    books.check_at_rest()
    assert (books.sold, books.shop, books.shipped, books.free, books.customer) == (3, 30, 3, 97, 970)


async def test_what_is_sold_out_is_refused_at_the_first_step(shops: Shops) -> None:
    shop = await shops.open(stock=1)
    assert await shop.buy(1, 2) == [COMPLETED, COMPENSATED]
    shop.books().check_at_rest()


ORCHESTRATED = [
    ("payment", "received", "1:hold"),
    ("payment", "committed", "1:hold"),
    ("payment", "published", "1:hold:done"),
    ("orders", "committed", "1:hold:done"),
]


@pytest.mark.parametrize("where", ORCHESTRATED, ids="-".join)
async def test_a_program_that_dies_goes_on_where_it_was(shops: Shops, where: tuple[str, str, str]) -> None:
    shop = await shops.open()
    assert await shop.crash_at(*where, 1) == [COMPLETED]
    shop.books().check_at_rest()


async def test_in_a_choreography_too(shops: Shops) -> None:
    shop = await shops.open(style="choreographed")
    assert await shop.crash_at("payment", "committed", "1:reserve:done", 1) == [COMPLETED]
    shop.books().check_at_rest()


async def test_a_checkout_that_keeps_its_orders_in_memory_leaves_money_taken_and_nothing_shipped(
    shops: Shops,
) -> None:
    shop = await shops.open(style="naive")
    await shop.die_at("orders", "received", "1:charge:done", 1)
    books = shop.books()
    assert (books.shop, books.reserved, books.shipped) == (10, 1, 0)
    assert books.verdict().startswith("Orders completed at 10 coins: 0. But reserved: 1")


async def test_what_is_sent_twice_is_done_once(shops: Shops, style: Any) -> None:
    shop = await shops.open(style=style)
    shop.transport.copies = 2
    shop.world.declines = declined
    assert await shop.buy(1, 2) == [COMPLETED, COMPENSATED]
    payment = shop.programs["payment"]
    await shop.until(lambda: payment.duplicates >= 3, "the duplicates")
    shop.books().check_at_rest()


async def test_without_an_inbox_a_duplicate_charges_twice(shops: Shops) -> None:
    shop = await shops.open(has_inbox=False)
    shop.transport.copies = 2
    assert await shop.buy(1) == [COMPLETED]
    await shop.until(lambda: shop.books().shop == 20, "the second charge")
    with pytest.raises(NotConserved, match=r"completed at 10 coins: 1. But .* the shop: 20 coins"):
        shop.books().check_at_rest()


async def test_without_an_outbox_a_crash_before_the_publish_loses_the_order(shops: Shops) -> None:
    shop = await shops.open(has_outbox=False)
    shop.world.crash_point = crash = CrashPoint("payment", "committed", "1:hold")
    await shop.place(1)
    await shop.until(crash.reached.is_set, "the crash")
    await shop.crash("payment")
    await shop.until(lambda: shop.programs["payment"].duplicates, "the message to come again")
    assert shop.orders.saga_of(1) == Saga(Phase.RUNNING, 1)
    with pytest.raises(NotConserved, match="reserved: 1"):
        shop.books().check_at_rest()


async def test_a_reply_that_comes_after_its_deadline_changes_nothing(shops: Shops) -> None:
    shop = await shops.open()
    await shop.kill("payment")
    await shop.place(1)
    await shop.until(lambda: shop.orders.saga_of(1) == Saga(Phase.RUNNING, 1), "the hold")
    shop.world.deadline = 0.0
    await shop.until(lambda: shop.orders.saga_of(1) == Saga(Phase.COMPENSATING, 1), "the deadline")
    shop.world.deadline = 30.0
    await shop.start("payment")  # which finds the hold, and only then that it was undone
    assert await shop.settled(1) == [COMPENSATED]
    assert shop.orchestrator.late == 1
    shop.books().check_at_rest()


async def test_a_charge_without_a_reply_is_asked_for_again_and_never_undone(shops: Shops) -> None:
    shop = await shops.open()
    shop.world.crash_point = crash = CrashPoint("payment", "received", "1:charge")
    await shop.place(1)
    await shop.until(crash.reached.is_set, "the charge")
    shop.world.deadline = 0.0
    await shop.until(lambda: shop.orchestrator.timed_out, "the deadline")
    shop.world.deadline = 30.0
    await shop.crash("payment")
    assert await shop.settled(1) == [COMPLETED]
    shop.books().check_at_rest()


async def test_a_compensation_that_fails_is_tried_again(shops: Shops, style: Any) -> None:
    shop = await shops.open(style=style)
    shop.world.declines = declined
    shop.world.trouble = {"unhold": 2}
    assert await shop.buy(2) == [COMPENSATED]
    shop.books().check_at_rest()


async def test_a_compensation_that_fails_too_often_is_a_dead_letter(shops: Shops, style: Any) -> None:
    shop = await shops.open(style=style)
    shop.world.declines = declined
    shop.world.trouble = {"unhold": 99}
    assert await shop.buy(2) == [STUCK]
    await shop.until(lambda: len(shop.support.letters()) == 1, "the dead letter")
    shop.books().check()
    with pytest.raises(NotConserved, match="reserved: 1"):
        shop.books().check_at_rest()


async def test_after_the_pivot_a_step_that_fails_is_tried_again(shops: Shops) -> None:
    shop = await shops.open()
    shop.world.trouble = {"pack": 2, "ship": 2}
    assert await shop.buy(1) == [COMPLETED]
    shop.books().check_at_rest()


async def test_a_broker_that_is_killed_delays_orders_and_loses_none(shops: Shops, server: Any) -> None:
    shop = await shops.open()
    shop.world.service_time = {"hold": 0.02}
    numbers = range(1, 11)
    await shop.place(*numbers)
    await shop.until(lambda: shop.books().held or shop.books().shop, "the first payment")
    await server.kill()
    await server.restart()
    assert await shop.settled(*numbers) == [COMPLETED] * 10
    shop.books().check_at_rest()


async def test_programs_that_die_again_and_again_lose_nothing(shops: Shops, style: Any) -> None:
    shop = await shops.open(style=style)
    shop.world.declines = declined
    shop.world.service_time = {"hold": 0.005, "pack": 0.005}
    numbers = range(1, 13)
    await shop.place(*numbers)
    for name in ("payment", "stock", "orders", "shipping") * 2:
        await shop.crash(name)
    assert await shop.settled(*numbers) == [COMPLETED, COMPENSATED] * 6
    shop.books().check_at_rest()


async def test_a_deadline_outlives_the_orchestrator(shops: Shops) -> None:
    shop = await shops.open()
    await shop.kill("payment")
    await shop.place(1)
    await shop.until(lambda: shop.orders.saga_of(1) == Saga(Phase.RUNNING, 1), "the hold")
    await shop.kill("orders")
    shop.world.deadline = 0.0
    await shop.start("orders")
    await shop.until(lambda: shop.orders.saga_of(1) == Saga(Phase.COMPENSATING, 1), "the deadline")
    shop.world.deadline = 30.0
    await shop.start("payment")
    assert await shop.settled(1) == [COMPENSATED]
    shop.books().check_at_rest()


async def test_money_that_appears_is_found_at_the_next_transaction_of_any_program(shops: Shops) -> None:
    shop = await shops.open()
    shop.programs["payment"].database.add("shop", 5)
    with pytest.raises(
        NotConserved, match=r"customer 1000 \+ held 0 \+ shop 5 = 1005, and it should be 1000"
    ):
        await shop.place(1)


async def test_the_live_picture_has_every_program_and_counts_its_messages(shops: Shops, client: Any) -> None:
    shop = await shops.open()
    (lane,) = lanes_of({shop.broker: shop})
    assert [one.name for one in lane.subscribers] == ["orders", "stock", "payment", "shipping", "support"]
    assert lane.publishers == ("orders", "stock", "payment", "shipping")
    assert all(lane.counts(program.subscription.place) for program in shop.programs.values())
