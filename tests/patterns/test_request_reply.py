"""Asking and being answered: on each broker, with real time-outs, crashes and duplicates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from labkit.brokers import new_client
from labkit.errors import BrokerError, NoReply, NoResponders
from labkit.feed import Feed
from labkit.patterns.request_reply import RECIPES, open_request_reply
from labkit.patterns.stock import Once, StockRoom
from tests.support import unique, until, until_told

pytestmark = pytest.mark.asyncio(loop_scope="session")

SURE = 30.0
"""A deadline for what must be answered: long enough for a busy machine."""

SOON = 0.3
"""A deadline for what cannot be answered."""

RESERVE = {"reserve": "tea", "amount": 2}


@pytest_asyncio.fixture(loop_scope="session")
async def stock(broker: str, client: Any) -> AsyncIterator[Any]:
    service = await RECIPES[broker](client, unique("stock")).open()
    yield service
    await service.close()


class Gate:
    """A handler that replies what it is asked, and only once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.begun = 0
        self.done: list[Any] = []

    async def __call__(self, request: Any) -> Any:
        self.begun += 1
        await self.may.wait()
        self.done.append(request)
        return request


async def double(number: int) -> int:
    return number * 2


def says(value: object) -> Callable[[Any], Any]:
    async def say(_: Any) -> object:
        return value

    return say


async def test_each_of_many_requests_in_flight_gets_its_own_reply(stock: Any) -> None:
    for name in ("room-1", "room-2"):
        await stock.serve(name, double)
    replies = await asyncio.gather(*(stock.ask(number, SURE) for number in range(100)))
    assert [reply.value for reply in replies] == [number * 2 for number in range(100)]
    assert sum(responder.taken for responder in stock.responders.values()) == 100
    assert stock.late == 0


async def test_a_reply_reaches_the_one_who_asked_and_no_other(stock: Any, client: Any) -> None:
    await stock.serve("room-1", double)
    askers = [await type(stock)(client, stock.service, f"till-{number}").open() for number in range(3)]
    asked = [asker.ask(number * 10 + at, SURE) for at in range(10) for number, asker in enumerate(askers)]
    replies = await asyncio.gather(*asked)
    assert [reply.value for reply in replies] == [
        2 * (number * 10 + at) for at in range(10) for number in range(3)
    ]
    assert [asker.late for asker in askers] == [0, 0, 0]


async def test_replies_that_overtake_each_other_find_their_requests(stock: Any) -> None:
    first, second = Gate(), Gate()
    gates = {"first": first, "second": second}

    async def answer(request: str) -> str:
        return str(await gates[request](request))

    for name in ("room-1", "room-2"):
        await stock.serve(name, answer)
    one = asyncio.create_task(stock.ask("first", SURE))
    await until(lambda: first.begun)
    second.may.set()

    async def ask_the_other() -> Any:  # Kafka may put it behind the first, into the same partition
        try:
            return await stock.ask("second", SOON * 3)
        except NoReply:
            return None

    assert (await until_told(ask_the_other)).value == "second"
    first.may.set()
    assert (await one).value == "first"


async def test_where_nobody_ever_served_only_nats_and_rabbitmq_say_so_at_once(
    stock: Any, broker: str
) -> None:
    tells = broker in ("nats", "rabbitmq")
    with pytest.raises(NoReply) as caught:
        await stock.ask(1, SURE if tells else SOON)
    assert isinstance(caught.value, NoResponders) == tells


async def test_where_all_who_served_have_left_only_nats_says_so_at_once(stock: Any, broker: str) -> None:
    await stock.serve("room-1", double)
    assert (await stock.ask(1, SURE)).value == 2
    await stock.leave("room-1")
    tells = broker == "nats"
    with pytest.raises(NoReply) as caught:
        await stock.ask(1, SURE if tells else SOON)
    assert isinstance(caught.value, NoResponders) == tells


async def test_a_late_reply_is_counted_and_not_taken_for_the_next_one(stock: Any) -> None:
    gate = Gate()
    await stock.serve("room-1", gate)
    late = stock.late
    asking = asyncio.create_task(stock.ask("first", 1.0))
    await until(lambda: gate.begun)
    with pytest.raises(NoReply):
        await asking
    gate.may.set()
    assert (await stock.ask("second", SURE)).value == "second"
    assert stock.late - late == 1
    assert gate.done == ["first", "second"]


async def retried(stock: Any, room: StockRoom, handler: Any, request: dict[str, Any]) -> Any:
    """Ask, give up while the service still works on it, and ask again; return the second reply."""
    gate = Gate()

    async def slow(asked: Any) -> Any:
        value = await handler(asked)
        await gate(asked)
        return value

    await stock.serve("room-1", slow)
    asking = asyncio.create_task(stock.ask(request, 1.0))
    await until(lambda: gate.begun)
    with pytest.raises(NoReply):
        await asking
    assert room.left["tea"] == 18, "the work was done, and the asker does not know"
    gate.may.set()
    return (await stock.ask(request, SURE)).value


async def test_a_retry_after_a_time_out_does_the_work_twice(stock: Any) -> None:
    room = StockRoom(tea=20)
    assert await retried(stock, room, room.handle, RESERVE) == {"reserved": 2, "left": 16}


async def test_a_retry_with_the_same_key_does_the_work_once_and_gets_the_first_answer(stock: Any) -> None:
    room = StockRoom(tea=20)
    once = Once(room.handle)
    answer = await retried(stock, room, once, {**RESERVE, "key": "order-17"})
    assert answer == {"reserved": 2, "left": 18}
    assert (room.left["tea"], room.handled, once.again) == (18, 1, 1)


async def test_a_request_whose_time_is_over_is_not_worked_on(stock: Any) -> None:
    """NATS has forgotten it, RabbitMQ lets it expire, and the recipes for Redis and Kafka skip it."""
    gate = Gate()
    gate.may.set()
    await stock.serve("room-1", gate)
    await stock.leave("room-1")
    for number in range(3):
        with pytest.raises(NoReply):
            await stock.ask(number, SOON)
    await stock.serve("room-2", gate)
    assert (await stock.ask("last", SURE)).value == "last"
    assert gate.done == ["last"]


@pytest.mark.parametrize("broker", ["redis", "kafka"])
async def test_without_a_deadline_in_the_request_the_work_is_done_for_nobody(stock: Any) -> None:
    stock.skips_expired = False
    gate = Gate()
    gate.may.set()
    await stock.serve("room-1", gate)
    await stock.leave("room-1")
    for number in range(3):
        with pytest.raises(NoReply):
            await stock.ask(number, SOON)
    await stock.serve("room-2", gate)
    assert (await stock.ask("last", SURE)).value == "last"
    await until(lambda: len(gate.done) == 4)
    assert sorted(map(str, gate.done)) == ["0", "1", "2", "last"]
    await until(lambda: stock.late == 3)


async def test_asking_all_returns_as_soon_as_all_have_answered(stock: Any) -> None:
    prices = {"north": 3, "south": 4, "harbour": 5}
    for name, price in prices.items():
        await stock.join(name, says(price))
    answers, silent = await stock.ask_all("tea", of=prices, within=SURE)
    assert answers == prices
    assert silent == ()


async def test_asking_all_returns_what_came_in_time_and_names_the_silent(stock: Any) -> None:
    gate = Gate()
    await stock.join("north", says(3))
    await stock.join("south", says(4))
    await stock.join("harbour", gate)
    names = ("north", "south", "harbour", "moon")
    answers, silent = await stock.ask_all("tea", of=names, within=1.0)
    assert answers == {"north": 3, "south": 4}
    assert silent == ("harbour", "moon")
    gate.may.set()  # its answer comes now, to a question nobody asks any more
    answers, silent = await stock.ask_all("honey", of=names[:3], within=SURE)
    assert answers == {"north": 3, "south": 4, "harbour": "honey"}


async def test_asking_all_where_nobody_is_only_kafka_does_not_say_so_at_once(stock: Any, broker: str) -> None:
    if broker == "kafka":
        assert await stock.ask_all("tea", of=("north",), within=SOON) == ({}, ("north",))
    else:
        with pytest.raises(NoResponders):
            await stock.ask_all("tea", of=("north",), within=SURE)


async def test_a_request_whose_responder_went_away_is_answered_by_another_where_the_broker_still_has_it(
    stock: Any, broker: str, server: Any
) -> None:
    """RabbitMQ hands it out again, Kafka too; NATS and Redis have forgotten it, and silence tells."""
    gate = Gate()
    async with new_client(broker, server.url) as other:
        dying = await type(stock)(other, stock.service, "nobody").open()
        await dying.serve("room-1", gate)
        kept = broker in ("rabbitmq", "kafka")
        asking = asyncio.create_task(stock.ask("tea", SURE if kept else 1.0))
        await until(lambda: gate.begun)
        await stock.serve("room-2", double)
        await dying.leave("room-1")
    if kept:
        assert await asking == ("room-2", "teatea")
    else:
        with pytest.raises(NoReply):
            await asking
    assert gate.done == []


async def test_a_broker_that_dies_during_a_request_is_an_error_within_the_deadline_and_no_hang(
    stock: Any, server: Any
) -> None:
    gate = Gate()
    await stock.serve("room-1", gate)
    asking = asyncio.create_task(stock.ask("tea", 3.0))
    await until(lambda: gate.begun)
    await server.kill()
    try:
        async with asyncio.timeout(SURE):
            with pytest.raises(NoReply):
                await asking
            with pytest.raises(BrokerError):
                await stock.ask("dead", SOON)
    finally:
        await server.restart()
    gate.may.set()

    async def ask_again() -> Any:
        try:
            return await stock.ask("again", 2.0)
        except BrokerError:
            return None

    assert (await until_told(ask_again)).value == "again"


async def test_what_the_handler_raises_ends_the_responder_and_is_raised_when_it_leaves(stock: Any) -> None:
    async def fail(_: Any) -> None:
        raise ZeroDivisionError

    responder = await stock.serve("room-1", fail)
    with pytest.raises(NoReply):
        await stock.ask(1, 1.0)
    await until(lambda: responder.subscription.error)
    with pytest.raises(ZeroDivisionError):
        await stock.leave("room-1")


async def test_the_feed_has_every_request_and_reply_at_its_lanes(broker: str, server: Any) -> None:
    feed = Feed()
    async with new_client(broker, server.url, feed) as client:
        [stock] = (await open_request_reply({broker: client}, unique("stock"))).values()
        await stock.serve("room-1", double)
        await asyncio.gather(*(stock.ask(number, SURE) for number in range(10)))
        there, back = await stock.lanes()
        for lane, sender, receiver in ((there, "checkout", "room-1"), (back, "room-1", "checkout")):
            assert (lane.publishers, [one.name for one in lane.subscribers]) == ((sender,), [receiver])
            counted = {place.client: kinds for place, kinds in feed.totals().items() if lane.counts(place)}
            assert counted[sender]["sent"] == 10  # type: ignore[index]
            assert counted[receiver]["delivered"] == 10  # type: ignore[index]
        await stock.close()


async def test_a_failed_handler_is_not_remembered_as_done() -> None:
    answers = iter([ZeroDivisionError(), 7])

    async def handle(_: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    once = Once(handle)
    with pytest.raises(ZeroDivisionError):
        await once({"key": 1})
    assert await once({"key": 1}) == 7
    assert await once({"key": 1}) == 7
