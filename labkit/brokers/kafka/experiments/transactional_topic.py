"""What topics promise that are written in transactions and read with read_committed, and what shows it."""

from __future__ import annotations

import time
from typing import Any

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.kafka.experiments.trying import LAST, read, take
from labkit.brokers.kafka.transactions import Transactions
from labkit.guarantees import Answer, Aspect

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = Experiments(KafkaClient, "kafka", "transactional topic", since="2.8", shown_on="4.3")
claim = EXPERIMENTS.claim
HOUR = 3600.0
COMMITTED: dict[str, Any] = {"isolation": "read_committed", "start": "earliest"}


async def publish(transactions: Transactions, topic: str, *values: object) -> None:
    """Publish these in one transaction."""
    async with transactions.transaction() as tx:
        await tx.publish_all(topic, values)


@claim(Aspect.CONFIRM, Answer.YES, "the commit: all messages, over several topics, or none")
async def confirm(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    invoices = await bench.client.topic(bench.name("invoices"))
    shop = await bench.client.transactions(bench.name("shop"))
    async with shop.transaction() as tx:
        await tx.publish(orders, "given up")
        await tx.publish(invoices, "given up")
        await tx.abort()
    async with shop.transaction() as tx:
        await tx.publish(orders, "committed")
        await tx.publish(invoices, "committed")
    async with orders.subscribe(bench.name("audit"), also=[invoices], **COMMITTED) as subscription:
        received = await take(subscription, 2)
    answer = Answer.YES if received == ["committed"] * 2 else Answer.NO
    return Seen(answer, f"of an aborted and a committed transaction over 2 topics came {received}")


@claim(Aspect.ACKNOWLEDGEMENT, Answer.YES, "the position is part of the transaction")
async def acknowledgement(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    group = bench.name("billing")
    shop = await bench.client.transactions(bench.name("shop"))
    positions = []
    async with orders.subscribe(group, commit="manual", **COMMITTED) as subscription:
        await publish(shop, orders.name, "order")
        delivery = await anext(subscription)
        for ends_well in (False, True):
            async with shop.transaction() as tx:
                await tx.settle(delivery)
                if not ends_well:
                    await tx.abort()
            await publish(shop, orders.name, LAST)  # begins when the one before is over everywhere
            positions.append((await bench.client.admin.group_offsets(group))[delivery.place])
    answer = Answer.YES if positions == [0, 1] else Answer.NO
    return Seen(
        answer, f"the group's position was {positions[0]} after the abort, {positions[1]} after the commit"
    )


@claim(Aspect.ORDERING, Answer.YES, "within a partition, once the transaction is over")
async def ordering(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    shop = await bench.client.transactions(bench.name("shop"))
    await publish(shop, orders.name, *range(50))
    await publish(shop, orders.name, *range(50, 100))
    async with orders.subscribe(bench.name("billing"), **COMMITTED) as subscription:
        received = await take(subscription, 100)
    answer = Answer.YES if received == list(range(100)) else Answer.NO
    in_order = "in order" if received == sorted(received) else "out of order"
    return Seen(answer, f"{len(set(received))} of 100 messages from 2 transactions came {in_order}")


@claim(Aspect.PERSISTENCE, Answer.YES, "what was committed; what was open is aborted")
async def persistence(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    name = bench.name("shop")
    shop = await bench.client.transactions(name)
    await publish(shop, orders.name, *range(5))
    await bench.crash()
    await publish(await bench.client.transactions(name), orders.name, LAST)
    async with orders.subscribe(bench.name("billing"), **COMMITTED) as subscription:
        kept = await read(subscription)
    answer = Answer.YES if kept == list(range(5)) else Answer.NO
    return Seen(answer, f"{len(kept)} of 5 committed messages were there after SIGKILL")


@claim(Aspect.REPLAY, Answer.YES, "from any offset or time that is kept")
async def replay(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    shop = await bench.client.transactions(bench.name("shop"))
    await publish(shop, orders.name, 0, 1, 2)
    async with orders.subscribe(bench.name("billing"), commit="manual", **COMMITTED) as subscription:
        for _ in range(3):
            await (await anext(subscription)).commit()
        await subscription.seek(0, 1)
        again = await take(subscription, 2)
    return Seen(Answer.YES if again == [1, 2] else Answer.NO, f"of 0-2, all committed, came again {again}")


@claim(Aspect.REDELIVERY, Answer.YES, "and what its reader had published is aborted")
async def redelivery(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    invoices = await bench.client.topic(bench.name("invoices"))
    group, name = bench.name("billing"), bench.name("billing-tx")
    await publish(await bench.client.transactions(bench.name("shop")), orders.name, "order")
    await _work(await bench.another(), orders.name, invoices.name, group, name, dies=True)
    await _work(bench.client, orders.name, invoices.name, group, name, dies=False)
    async with invoices.subscribe(bench.name("audit"), **COMMITTED) as subscription:
        received = await read(subscription)
    answer = Answer.YES if received == ["invoice by the heir"] else Answer.NO
    return Seen(answer, f"one order, two tries at it: its invoices are {received}")


async def _work(
    client: KafkaClient, orders: str, invoices: str, group: str, name: str, *, dies: bool
) -> None:
    """Read an order and write its invoice, both in one transaction; or die in the middle of it."""
    source = await client.find_topic(orders)
    options = {"commit": "manual", "session_timeout": 1.0, **COMMITTED}
    subscription = await source.subscribe(group, **options).open()
    transactions = await client.transactions(name)
    delivery = await anext(subscription)
    tx = transactions.transaction()
    await tx.__aenter__()
    await tx.publish(invoices, "invoice by the dead one" if dies else "invoice by the heir")
    await tx.settle(delivery)
    if dies:
        await subscription.vanish()
        await transactions.vanish()
    else:
        await tx.publish(invoices, LAST)
        await tx.__aexit__(None, None, None)
        await subscription.close()


@claim(Aspect.DUPLICATES, Answer.YES, "to a reader; what it writes in a transaction counts once")
async def duplicates(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    group = bench.name("billing")
    shop = await bench.client.transactions(bench.name("shop"))
    options = {"commit": "manual", "session_timeout": 1.0, **COMMITTED}
    dying = await orders.subscribe("dying", group=group, **options).open()
    await publish(shop, orders.name, 0, 1, 2)
    first = await take(dying, 3)
    await dying.vanish()
    async with orders.subscribe("heir", group=group, **options) as heir:
        second = await take(heir, 3)
    twice = len(set(first) & set(second))
    return Seen(Answer.YES if twice else Answer.NO, f"{twice} of 3 messages, committed once, were read twice")


@claim(Aspect.BACKPRESSURE, Answer.YES, "it fetches when it is ready; the log keeps the rest")
async def backpressure(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    shop = await bench.client.transactions(bench.name("shop"))
    async with orders.subscribe(bench.name("billing"), **COMMITTED) as slow:
        await publish(shop, orders.name, *({"number": number, "note": "x" * 1000} for number in range(2000)))
        received = [order["number"] for order in await take(slow, 2000)]
    answer = Answer.YES if received == list(range(2000)) else Answer.NO
    return Seen(answer, f"{len(received)} of 2000 messages reached a reader that began when all were sent")


@claim(Aspect.DEAD_LETTER, Answer.BY_HAND, "a second topic, in the same transaction as the position")
async def dead_letter(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    poisoned = await orders.dead_letters()
    shop = await bench.client.transactions(bench.name("shop"))
    await publish(shop, orders.name, "good", "poison", "better")
    group = bench.name("billing")
    async with orders.subscribe(group, commit="manual", **COMMITTED) as subscription:
        for _ in range(3):
            delivery = await anext(subscription)
            async with shop.transaction() as tx:
                if delivery.value == "poison":
                    await tx.publish(poisoned, delivery.data)
                await tx.settle(delivery)
        await publish(shop, orders.name, LAST)  # begins when the one before is over everywhere
    position = (await bench.client.admin.group_offsets(group))[delivery.place]
    async with poisoned.subscribe(bench.name("audit"), **COMMITTED) as subscription:
        aside = await take(subscription, 1)
    answer = Answer.BY_HAND if (aside, position) == (["poison"], 3) else Answer.NO
    return Seen(answer, f"{aside} lay in the second topic, and the position was {position} of 3")


@claim(Aspect.DELAY, Answer.NO, "only until the transaction ends; timestamps hold nothing back")
async def delay(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    shop = await bench.client.transactions(bench.name("shop"))
    async with orders.subscribe(bench.name("billing"), **COMMITTED) as subscription:
        async with shop.transaction() as tx:
            await tx.publish(orders, "later", timestamp=time.time() + HOUR)
            await tx.publish(orders, "now")
        received = await take(subscription, 2)
    answer = Answer.NO if received == ["later", "now"] else Answer.YES
    return Seen(answer, f"one stamped an hour ahead, then one of now, came as {received}")


@claim(Aspect.DEDUP, Answer.NO, "two transactions with the same message are two messages")
async def dedup(bench: Bench[KafkaClient]) -> Seen:
    orders = await bench.client.topic(bench.name("orders"))
    shop = await bench.client.transactions(bench.name("shop"))
    for _ in range(2):
        await publish(shop, orders.name, {"order": 17})
    await publish(shop, orders.name, LAST)
    async with orders.subscribe(bench.name("billing"), **COMMITTED) as subscription:
        copies = len(await read(subscription))
    return Seen(Answer.NO if copies == 2 else Answer.YES, f"one published twice was read {copies} times")
