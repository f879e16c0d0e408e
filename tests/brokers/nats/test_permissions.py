"""What a user may not do is an error where it was tried, though NATS answers no publish and no subscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.status import Status
from labkit.errors import ConnectionLost, NotAllowed, PublishRefused
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.support import until

if TYPE_CHECKING:
    from tests.brokers.nats.conftest import SecuredServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_forbidden_publish_is_an_error_each_time(ann: NatsClient, feed: Feed) -> None:
    for _ in range(3):
        with pytest.raises(NotAllowed, match=r"publish to 'secret\.plans'") as caught:
            await ann.subject("secret.plans").publish(1)
    assert caught.value.remedy
    assert caught.value.__cause__ is not None
    assert feed.count(Kind.REFUSED, Place("nats", "secret.plans", "shop")) == 3


async def test_a_forbidden_subject_in_capitals_is_recognised(ann: NatsClient) -> None:
    with pytest.raises(NotAllowed):
        await ann.subject("SECRET.Plans").publish(1)


async def test_an_allowed_publish_arrives_beside_forbidden_ones(ann: NatsClient) -> None:
    async with ann.subject("orders.*").subscribe("billing") as billing:
        with pytest.raises(NotAllowed):
            await ann.subject("secret").publish(1)
        await ann.subject("orders.created").publish(2)
        assert (await anext(billing)).value == 2


async def test_a_forbidden_subscribe_is_an_error_and_leaves_nothing_behind(ann: NatsClient) -> None:
    subscription = ann.subject("secret.>").subscribe("spy")
    with pytest.raises(NotAllowed, match=r"subscribe to 'secret\.>'"):
        await subscription.open()
    assert not subscription.is_open
    assert ann.native._subs == {}


async def test_a_forbidden_request_ends_at_once(ann: NatsClient) -> None:
    with pytest.raises(NotAllowed):
        await ann.subject("secret").request(1, timeout=60.0)


async def test_the_problems_and_events_tell_of_it(ann: NatsClient) -> None:
    with pytest.raises(NotAllowed):
        await ann.subject("secret").publish(1)
    assert ["secret" in problem.what for problem in ann.problems] == [True]
    assert ann.events[-1].kind is Status.NOT_ALLOWED


async def test_flush_tells_of_what_no_call_was_told(ann: NatsClient) -> None:
    await ann.native.publish("secret", b"1")  # around the lab
    with pytest.raises(NotAllowed, match="secret"):
        await ann.flush()
    await ann.flush()  # told once


async def test_a_publish_that_becomes_forbidden_is_an_error_at_the_next_call(
    ann: NatsClient, secured: SecuredServer
) -> None:
    await ann.subject("orders.created").publish(1)
    secured.allow('{ publish: ["_INBOX.>"], subscribe: [">"] }')
    secured.reload()
    orders = ann.subject("orders.created")

    async def is_refused() -> bool:
        try:
            await orders.publish(2)
            await ann.flush()
        except NotAllowed:
            return True
        except ConnectionLost:
            await ann.restored()
        return False

    while not await is_refused():  # the server takes a moment to read it
        pass
    with pytest.raises(NotAllowed):
        await orders.publish(3)


async def test_a_stream_that_may_not_be_made_is_an_error_at_once(ann: NatsClient) -> None:
    with pytest.raises(NotAllowed, match=r"stream\.create\.secret"):
        await ann.stream("SECRET")


async def test_a_stream_publish_that_is_forbidden_is_an_error_at_once(ann: NatsClient, feed: Feed) -> None:
    stream = await ann.stream("MORE", subjects=["more.>"])
    with pytest.raises(NotAllowed, match=r"more\.books"):
        await stream.publish(1, subject="more.books")
    assert feed.count(Kind.REFUSED, Place("nats", "MORE", "shop")) == 1


async def test_a_pipeline_counts_what_is_forbidden_as_refused(ann: NatsClient, feed: Feed) -> None:
    stream = await ann.stream("ANN", subjects=["ANN.>", "more.>"])
    async with stream.pipeline() as pipeline:
        for number in range(10):
            await pipeline.publish(number, subject="ANN.books" if number % 2 else "more.books")
        await pipeline.drain()
        failed, pipeline.failed = pipeline.failed, []
    assert (pipeline.confirmed, len(failed)) == (5, 5)
    assert isinstance(failed[0], PublishRefused)
    assert isinstance(failed[0].__cause__, NotAllowed)
    assert feed.count(Kind.REFUSED, Place("nats", "ANN", "shop")) == 5


async def test_a_user_who_may_not_hear_replies_is_told_so(secured: SecuredServer) -> None:
    async with NatsClient(secured.url("deaf")) as client:
        for _ in range(2):
            with pytest.raises(NotAllowed, match="_inbox"):
                await client.stream("ANY")


async def test_an_admin_may_do_all_that(admin: NatsClient) -> None:
    async with admin.subject("secret").subscribe("admin") as secrets:
        await admin.subject("secret").publish(1)
        assert (await anext(secrets)).value == 1
    stream = await admin.stream("SECRET")
    assert (await stream.publish(1)).sequence == 1
    assert not admin.problems


async def test_a_lost_connection_does_not_stop_a_secured_publish(
    ann: NatsClient, secured: SecuredServer
) -> None:
    secured.stop()
    await until(lambda: not ann.is_connected)
    await ann.subject("orders.created").publish(1)  # kept until the connection is back
    secured.start()
    await ann.restored()
