"""Event streaming on every broker: what is appended can be read again, by many, each at its own place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from labkit.brokers import new_client
from labkit.errors import LabError, Unsupported
from labkit.patterns.event_stream import RECIPES, Event, EventLog, Reader, lanes_of, open_logs
from labkit.patterns.stock_ledger import ITEMS, StockView, book, make_change, order_steps
from tests.support import unique, until, until_told

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTITIONS = 3


@pytest_asyncio.fixture(loop_scope="session")
async def stock(broker: str, client: Any) -> AsyncIterator[EventLog[Any]]:
    """A log with one partition."""
    log = await RECIPES[broker](client, unique("stock")).open()
    yield log
    await log.close()


@pytest_asyncio.fixture(loop_scope="session")
async def parted(broker: str, client: Any) -> AsyncIterator[EventLog[Any]]:
    """A log with several partitions."""
    log = await RECIPES[broker](client, unique("parted"), PARTITIONS).open()
    yield log
    await log.close()


@pytest_asyncio.fixture(loop_scope="session")
async def another(broker: str, server: Any) -> AsyncIterator[Callable[[EventLog[Any]], Any]]:
    """What opens the same log from another program, with a connection of its own."""
    clients: list[Any] = []

    async def open_again(log: EventLog[Any]) -> EventLog[Any]:
        client = new_client(broker, server.url)
        await client.open()
        clients.append(client)
        return await RECIPES[broker](client, log.name, log.partitions).open()

    yield open_again
    for client in clients:
        await client.close()


def ids(events: Iterable[Event]) -> list[int]:
    return [event.value["id"] for event in events]


def of_key(events: Iterable[Event], key: str) -> list[int]:
    return [event.value["id"] for event in events if event.key == key]


def by_key(numbers: Iterable[int]) -> dict[str, list[int]]:
    """Return the numbers of changes by the item they are about."""
    numbers = list(numbers)
    return {item: [one for one in numbers if (one - 1) % len(ITEMS) == at] for at, item in enumerate(ITEMS)}


def assert_in_order_by_key(events: list[Event], numbers: Iterable[int]) -> None:
    assert {item: of_key(events, item) for item in ITEMS} == by_key(numbers)


# The log.


async def test_a_log_with_one_partition_gives_everything_in_the_order_it_was_appended(
    stock: EventLog[Any],
) -> None:
    assert await stock.replay() == []
    await book(stock, range(1, 41))
    assert ids(await stock.replay()) == list(range(1, 41))
    assert ids(await stock.replay()) == list(range(1, 41)), "reading took something away"


async def test_a_log_with_several_partitions_keeps_the_order_of_each_key(parted: EventLog[Any]) -> None:
    await book(parted, range(1, 41))
    events = await parted.replay()
    assert_in_order_by_key(events, range(1, 41))
    homes = {item: {event.partition for event in events if event.key == item} for item in ITEMS}
    assert all(len(home) == 1 for home in homes.values()), f"a key is in one partition: {homes}"
    assert len({home for (home,) in homes.values()}) > 1, "all keys are in one partition: nothing is shown"


async def test_a_replay_from_a_moment_gives_exactly_what_came_after_it(parted: EventLog[Any]) -> None:
    await book(parted, range(1, 21))
    moment = await parted.moment()
    assert await parted.replay(moment) == []
    await book(parted, range(21, 41))
    assert_in_order_by_key(await parted.replay(moment), range(21, 41))
    assert len(await parted.replay(moment - 3600)) == 40


async def test_the_history_of_one_key_is_all_that_happened_to_it_in_order(parted: EventLog[Any]) -> None:
    moment = 0.0
    for order, step in order_steps([16, 17, 18]):
        if step == "packed" and not moment:
            moment = await parted.moment()
        await parted.append(str(order), {"id": order, "event": step})
    audit = [event.value["event"] for event in await parted.history("17")]
    assert audit == ["created", "paid", "packed", "shipped"]
    late = [event.value["event"] for event in await parted.history("17", moment)]
    assert late == ["packed", "shipped"]
    assert await parted.history("19") == []


async def test_a_view_that_was_deleted_is_rebuilt_from_the_log(parted: EventLog[Any]) -> None:
    live = StockView()
    reader = await parted.reader("warehouse", live.apply)
    await book(parted, range(1, 49))
    await reader.until(48)
    before = dict(live.levels)
    del live, reader.handle
    assert StockView.of(await parted.replay()).levels == before
    assert before == {"tea": 21, "coffee": 18, "honey": 15, "bread": 12}


async def test_the_last_event_of_each_key_is_kept_or_the_broker_says_why_not(
    broker: str, client: Any
) -> None:
    recipe, name = RECIPES[broker], unique("levels")
    if recipe.no_compaction:
        with pytest.raises(Unsupported) as refused:
            recipe(client, name, compacted=True)
        assert "keys" in str(refused.value)
        assert await open_logs({broker: client}, name, compacted=True) == {}
        return
    log = (await open_logs({broker: client}, name, compacted=True))[broker]
    for number in range(3):
        for item in ITEMS:
            await log.append(item, {"id": number})

    async def kept() -> dict[str, list[int]]:
        if broker == "kafka":  # it never compacts the newest segment: another has to begin
            await log.append("closing time", {"id": 0})
        events = await log.replay()
        return {item: of_key(events, item) for item in ITEMS}

    await until_told(kept, lambda found: found == {item: [2] for item in ITEMS}, pause=0.2)


# Readers.


async def test_readers_do_not_disturb_each_other_and_a_late_one_gets_all(stock: EventLog[Any]) -> None:
    early = await stock.reader("warehouse")
    await book(stock, range(1, 11))
    await early.until(10)
    await early.close()
    await book(stock, range(11, 21))
    late = await stock.reader("analytics")
    assert ids(await late.until(20)) == list(range(1, 21))
    assert ids(early.events) == list(range(1, 11))
    again = await stock.reader("warehouse")
    assert ids(await again.until(10)) == list(range(11, 21))


async def test_a_reader_in_a_new_program_goes_on_where_the_old_one_stopped(
    stock: EventLog[Any], another: Any
) -> None:
    reader = await (await another(stock)).reader("warehouse")
    await book(stock, range(1, 11))
    await reader.until(10)
    await reader.close()
    await book(stock, range(11, 21))
    successor = await (await another(stock)).reader("warehouse")
    assert ids(await successor.until(10)) == list(range(11, 21))


async def test_an_event_whose_handler_failed_comes_again_to_the_next_reader(stock: EventLog[Any]) -> None:
    def die_at_three(event: Event) -> None:
        if event.value["id"] == 3:
            raise ZeroDivisionError

    await book(stock, range(1, 6))
    reader = await stock.reader("warehouse", die_at_three)
    with pytest.raises(ZeroDivisionError):
        await reader.until(5)
    assert ids(reader.events) == [1, 2]
    successor = await stock.reader("warehouse")
    assert ids(await successor.until(3)) == [3, 4, 5]


async def test_the_lag_grows_while_a_reader_is_away_and_goes_when_it_is_back(parted: EventLog[Any]) -> None:
    reader = await parted.reader("warehouse")
    await book(parted, range(1, 9))
    await reader.until(8)
    await until_told(reader.lag, lambda lag: lag == 0)
    await reader.close()
    await book(parted, range(9, 15))
    assert await until_told(reader.lag, lambda lag: lag == 6) == 6
    await reader.open()
    await until_told(reader.lag, lambda lag: lag == 0)
    assert_in_order_by_key(reader.events, range(1, 15))


async def test_workers_in_parallel_keep_the_order_of_a_key_but_not_of_the_whole(
    parted: EventLog[Any],
) -> None:
    await book(parted, range(1, 25))
    homes = {event.key: event.partition for event in await parted.replay()}
    gate = asyncio.Event()

    async def slow_for_tea(event: Event) -> None:
        if event.partition == homes["tea"]:
            await gate.wait()

    reader = await parted.reader("warehouse", slow_for_tea)
    others = sum(6 for item in ITEMS if homes[item] != homes["tea"])
    await reader.until(others)
    gate.set()
    events = await reader.until(24)
    assert_in_order_by_key(events, range(1, 25))
    assert ids(events) != list(range(1, 25)), "the whole is in order, as if one worker had read it"
    assert events[-1].partition == homes["tea"], "the others did not wait for the slow worker"


async def test_a_wait_for_events_that_do_not_come_says_how_many_came(stock: EventLog[Any]) -> None:
    reader = await stock.reader("warehouse")
    await book(stock, [1])
    with pytest.raises(LabError, match="for 2 events, and has read 1"):
        await reader.until(2, within=1.0)


async def test_the_live_picture_shows_each_worker_of_each_reader(parted: EventLog[Any]) -> None:
    await parted.reader("warehouse")
    (lane,) = await lanes_of({parted.broker: parted})
    assert [one.name for one in lane.subscribers] == ["warehouse-0", "warehouse-1", "warehouse-2"]
    assert lane.broker == parted.broker


# Crashes.


async def written(log: Any) -> None:
    """Wait until the log itself outlives a SIGKILL: RabbitMQ takes a second for its first stream."""
    if log.broker == "rabbitmq":
        await log.streams[-1].written()


async def survivors(log: EventLog[Any], server: Any) -> tuple[list[int], list[int]]:
    """Append, kill the broker, append again; return what a reader got in all, and what the log has.

    The reader was done with half of it before, and was away when the broker died.
    """
    reader = await log.reader("warehouse")
    await book(log, range(1, 11))
    await reader.until(10)
    await reader.close()
    await book(log, range(11, 21))
    await written(log)
    await server.kill()
    await server.restart()
    await log.restored()
    await book(log, [21])
    kept = ids(await log.replay())
    successor = await log.reader("warehouse")
    await successor.until_value(make_change(21))
    return sorted(set(ids(reader.events) + ids(successor.events))), kept


async def test_nothing_appended_is_lost_when_the_broker_is_killed(stock: EventLog[Any], server: Any) -> None:
    read, kept = await survivors(stock, server)
    assert read == list(range(1, 22))
    assert kept == list(range(1, 22))


@pytest.mark.parametrize("broker", ["nats"])
async def test_control_a_log_in_memory_loses_all_when_the_broker_is_killed(client: Any, server: Any) -> None:
    stream = await client.stream(unique("volatile"), storage="memory")
    for number in range(10):
        await stream.publish(number)
    await server.kill()
    await server.restart()
    await client.restored()
    again = await client.stream(stream.name, storage="memory")
    assert await again.depth() == 0


@pytest.mark.parametrize("broker", ["nats", "redis"])
async def test_control_a_view_fed_by_publish_and_subscribe_misses_what_came_while_it_was_away(
    broker: str, client: Any
) -> None:
    channel = client.subject(unique("stock")) if broker == "nats" else client.channel(unique("stock"))
    heard: list[int] = []
    for number in range(1, 4):
        if number == 2:
            await channel.publish(number)
            continue
        async with channel.subscribe("warehouse").run(lambda delivery: heard.append(delivery.value)):
            await channel.publish(number)
            await until(lambda number=number: number in heard)
    assert heard == [1, 3]


async def test_a_reader_that_is_there_when_the_broker_is_killed_reads_on_and_misses_nothing(
    stock: EventLog[Any], server: Any
) -> None:
    reader: Reader = await stock.reader("warehouse")
    await book(stock, range(1, 11))
    await reader.until(10)
    await written(stock)
    await server.kill()
    await server.restart()
    await stock.restored()
    await book(stock, range(11, 21))
    await reader.until_value(make_change(20))
    assert sorted(set(ids(reader.events))) == list(range(1, 21))
    first_time = list(dict.fromkeys(ids(reader.events)))
    assert first_time == list(range(1, 21)), "something came out of order"


# What is a broker's own.


@pytest.mark.parametrize("broker", ["rabbitmq"])
async def test_a_rabbitmq_stream_read_from_a_time_begins_too_early_and_the_recipe_skips(
    stock: Any,
) -> None:
    await until(lambda: 0.2 < time.time() % 1 < 0.6)  # AMQP's times are whole seconds
    await book(stock, range(1, 6))
    moment = await stock.moment()
    await book(stock, range(6, 11))
    start = datetime.fromtimestamp(moment, UTC)
    async with stock.streams[0].subscribe("raw", start=start) as deliveries:
        first = (await anext(deliveries)).value["id"]
    assert first < 6
    assert ids(await stock.replay(moment)) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("broker", ["redis"])
async def test_a_redis_stream_is_trimmed_by_length_whoever_has_read_it(stock: Any) -> None:
    await book(stock, range(1, 11))
    await stock.streams[0].trim(max_length=4)
    assert ids(await stock.replay()) == [7, 8, 9, 10]
