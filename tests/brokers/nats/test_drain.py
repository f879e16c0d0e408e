"""Closing a client: what has arrived is worked off first, within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.channels.stream_delivery import StreamDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.status import Status
from tests.support import until, until_told

if TYPE_CHECKING:
    from labkit.brokers.delivery import Delivery
    from labkit.brokers.nats.channels.subject import SubjectDelivery
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


class SlowHandler:
    """Works on messages only when it is let."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.may_work = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        await self.may_work.wait()
        self.done.append(delivery.value)


async def test_closing_works_off_what_has_arrived(server: Server, client: NatsClient, name: str) -> None:
    handler = SlowHandler()
    leaving = await NatsClient(server.url).open()
    (await leaving.subject(name).subscribe("billing").open()).run(handler)
    for number in range(50):
        await client.subject(name).publish(number)
    await client.flush()
    closing = asyncio.ensure_future(leaving.close())
    await asyncio.sleep(0)
    handler.may_work.set()
    await closing
    assert handler.done == list(range(50))


async def test_a_request_that_had_arrived_is_still_replied_to(
    server: Server, client: NatsClient, name: str
) -> None:
    may_work = asyncio.Event()

    async def reply(request: SubjectDelivery) -> None:
        await may_work.wait()
        await request.reply(2 * request.value)

    leaving = await NatsClient(server.url).open()
    subscription = (await leaving.subject(name).subscribe("doubler").open()).run(reply)
    asking = asyncio.ensure_future(client.subject(name).request(4, timeout=10.0))
    await until(lambda: subscription.native.delivered)
    closing = asyncio.ensure_future(leaving.close())
    may_work.set()
    await closing
    assert (await asking).value == 8


async def test_a_drained_subscription_gets_nothing_new(server: Server, client: NatsClient, name: str) -> None:
    handler = SlowHandler()
    handler.may_work.set()
    subscription = (await client.subject(name).subscribe("billing").open()).run(handler)
    await client.subject(name).publish(1)
    await client.flush()
    await subscription.drain()
    await client.subject(name).publish(2)
    await client.flush()
    await subscription.close()
    assert handler.done == [1]


async def test_a_handler_that_never_ends_is_left_after_a_while(
    server: Server, client: NatsClient, name: str
) -> None:
    handler = SlowHandler()
    leaving = await NatsClient(server.url, drain_seconds=0.05).open()
    subscription = (await leaving.subject(name).subscribe("billing").open()).run(handler)
    await client.subject(name).publish(1)
    await until(lambda: subscription.native.delivered)
    await leaving.close()
    assert handler.done == []
    assert Status.DRAIN_TIMED_OUT in [event.kind for event in leaving.events]


async def test_a_handler_may_close_its_own_client(client: NatsClient, server: Server, name: str) -> None:
    leaving = await NatsClient(server.url).open()
    closed = asyncio.Event()

    async def leave(delivery: Delivery) -> None:
        await leaving.close()
        closed.set()

    (await leaving.subject(name).subscribe("billing").open()).run(leave)
    await client.subject(name).publish(1)
    async with asyncio.timeout(10):
        await closed.wait()


async def test_a_stream_subscriber_acknowledges_what_it_works_off(
    server: Server, client: NatsClient, name: str
) -> None:
    stream = await client.stream(name)
    consumer = await stream.consumer("billing")
    for number in range(20):
        await stream.publish(number)
    done: list[int] = []
    may_work = asyncio.Event()

    async def work(delivery: StreamDelivery) -> None:
        await may_work.wait()
        done.append(delivery.value)

    leaving = await NatsClient(server.url).open()
    there = await (await leaving.find_stream(name)).find_consumer("billing")
    (await there.subscribe(batch=10).open()).run(work)
    await until(lambda: may_work)
    await until_told(consumer.info, lambda info: info.num_ack_pending == 10)
    closing = asyncio.ensure_future(leaving.close())
    await asyncio.sleep(0)
    may_work.set()
    await closing
    assert done == list(range(10))
    await until_told(consumer.info, lambda info: info.num_ack_pending == 0)


async def test_closing_ends_though_the_broker_is_frozen(server: Server, name: str) -> None:
    handler = SlowHandler()
    leaving = await NatsClient(server.url, drain_seconds=0.05).open()
    (await leaving.subject(name).subscribe("billing").open()).run(handler)
    await server.pause()
    try:
        async with asyncio.timeout(20):
            await leaving.close()
    finally:
        await server.resume()
