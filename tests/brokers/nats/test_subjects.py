"""NATS subjects: wildcards, queue groups, requests and replies, and what can go wrong."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from labkit.brokers.nats.channels.subject import SubjectDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.errors import (
    NoReply,
    NoResponders,
    PayloadError,
    PublishRefused,
    Unsupported,
)
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.support import until

if TYPE_CHECKING:
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("*.created", ["book.created", "pen.created"]),
        ("book.*", ["book.created", "book.paid"]),
        (">", ["book.created", "book.paid", "book.paid.twice", "pen.created"]),
    ],
)
async def test_a_wildcard_hears_what_fits(
    client: NatsClient, name: str, pattern: str, heard: list[str]
) -> None:
    async with client.subject(f"{name}.{pattern}").subscribe("billing") as billing:
        for words in ("book.created", "book.paid", "book.paid.twice", "pen.created"):
            await client.subject(f"{name}.{words}").publish(words)
        taken = [await anext(billing) for _ in heard]
    assert [delivery.value for delivery in taken] == heard
    assert [delivery.message.channel for delivery in taken] == [f"{name}.{words}" for words in heard]


async def test_the_members_of_a_queue_group_share_and_others_get_all(client: NatsClient, name: str) -> None:
    subject = client.subject(name)
    received: dict[str, list[int]] = {"one": [], "two": [], "audit": []}
    for member, group in (("one", "workers"), ("two", "workers"), ("audit", "")):
        subscription = await subject.subscribe(member, queue_group=group).open()
        subscription.run(lambda delivery, member=member: received[member].append(delivery.value))
    for number in range(200):
        await subject.publish(number)
    await until(lambda: len(received["one"]) + len(received["two"]) == len(received["audit"]) == 200)
    assert received["one"]
    assert received["two"]
    assert sorted(received["one"] + received["two"]) == received["audit"] == list(range(200))


async def test_headers_arrive(client: NatsClient, name: str) -> None:
    async with client.subject(name).subscribe("billing") as billing:
        await client.subject(name).publish(1, headers={"event": "created"})
        assert (await anext(billing)).message.headers == {"event": "created"}


async def double(request: SubjectDelivery) -> None:
    await request.reply(2 * request.value, headers={"by": "doubler"})


async def test_a_request_gets_its_reply(client: NatsClient, name: str) -> None:
    (await client.subject(name).subscribe("doubler").open()).run(double)
    replies = await asyncio.gather(*(client.subject(name).request(number) for number in range(20)))
    assert [reply.value for reply in replies] == [2 * number for number in range(20)]
    assert replies[0].message.headers == {"by": "doubler"}


async def test_the_feed_counts_both_halves_of_a_request(client: NatsClient, name: str, feed: Feed) -> None:
    (await client.subject(name).subscribe("doubler").open()).run(double)
    await client.subject(name).request(4)
    for who in ("shop", "doubler"):
        place = Place("nats", name, who)
        assert (feed.count(Kind.SENT, place), feed.count(Kind.DELIVERED, place)) == (1, 1)


async def test_a_request_that_nobody_could_hear_says_so_at_once(
    client: NatsClient, name: str, feed: Feed
) -> None:
    with pytest.raises(NoResponders, match=name) as caught:
        await client.subject(name).request(4, timeout=60.0)
    assert caught.value.remedy
    assert feed.count(Kind.UNHEARD, Place("nats", name, "shop")) == 1


async def test_a_request_that_is_heard_and_not_replied_to_is_a_time_out(
    client: NatsClient, name: str, feed: Feed
) -> None:
    async with client.subject(name).subscribe("mute"):
        with pytest.raises(NoReply) as caught:
            await client.subject(name).request(4, timeout=0.1)
    assert not isinstance(caught.value, NoResponders)
    assert feed.count(Kind.IN_DOUBT, Place("nats", name, "shop")) == 1


async def test_a_request_ends_though_the_broker_is_frozen(
    client: NatsClient, server: Server, name: str
) -> None:
    async with client.subject(name).subscribe("mute"):
        await server.pause()
        try:
            with pytest.raises(NoReply):
                await client.subject(name).request(4, timeout=0.1)
        finally:
            await server.resume()


async def test_a_reply_that_comes_too_late_is_counted_and_dropped(client: NatsClient, name: str) -> None:
    subject = client.subject(name)
    async with subject.subscribe("slow") as questions:
        with pytest.raises(NoReply):
            await subject.request(4, timeout=0.1)
        await (await anext(questions)).reply(5)
        await until(lambda: client.replies.late == 1)


async def test_a_message_with_an_inbox_is_replied_to_by_all_who_hear_it(
    client: NatsClient, name: str
) -> None:
    subject, inbox = client.subject(name), client.subject(client.native.new_inbox())
    async with inbox.subscribe("buyer") as replies, AsyncExitStack() as stack:
        for price in (3, 4):
            supplier = subject.subscribe(f"for {price}").run(lambda asked, price=price: asked.reply(price))
            await stack.enter_async_context(supplier)
        await subject.publish("tea", reply_to=inbox.name)
        assert {(await anext(replies)).value, (await anext(replies)).value} == {3, 4}


async def test_a_message_with_an_inbox_that_nobody_hears_is_answered_by_the_server(
    client: NatsClient, name: str
) -> None:
    inbox = client.subject(client.native.new_inbox())
    async with inbox.subscribe("buyer") as replies:
        await client.subject(name).publish("tea", reply_to=inbox.name)
        answer = (await anext(replies)).message
        assert answer.headers["Status"] == "503"


async def test_what_is_no_request_cannot_be_replied_to(client: NatsClient, name: str) -> None:
    async with client.subject(name).subscribe("billing") as billing:
        await client.subject(name).publish(1)
        with pytest.raises(Unsupported, match="Nobody waits"):
            await (await anext(billing)).reply(2)


async def test_a_wildcard_can_be_neither_published_to_nor_asked(client: NatsClient) -> None:
    for call in (client.subject("orders.*").publish, client.subject("orders.>").request):
        with pytest.raises(Unsupported, match=r"orders\."):
            await call(1)


@pytest.mark.parametrize(
    ("subject", "value", "headers", "words"),
    [
        ("big", b"x" * (1024 * 1024 + 1), None, "maximum payload"),
        ("with space", b"", None, "invalid subject"),
        ("", b"", None, "invalid subject"),
        ("headers", b"", {"bad\r\nkey": "x"}, "invalid header"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_counted(
    client: NatsClient, feed: Feed, subject: str, value: bytes, headers: dict[str, str] | None, words: str
) -> None:
    with pytest.raises(PublishRefused, match=words) as caught:
        await client.subject(subject).publish(value, headers=headers)
    assert caught.value.remedy
    assert caught.value.__cause__ is not None
    place = Place("nats", subject, "shop")
    assert (feed.count(Kind.SENT, place), feed.count(Kind.REFUSED, place)) == (1, 1)
    await client.flush()  # and the connection is as it was


async def test_a_value_that_is_no_json_is_not_sent(client: NatsClient, name: str, feed: Feed) -> None:
    for call in (client.subject(name).publish, client.subject(name).request):
        with pytest.raises(PayloadError):
            await call({1, 2})
    assert feed.count(Kind.SENT, Place("nats", name, "shop")) == 0


async def test_a_payload_that_is_no_json_is_still_there_as_bytes(client: NatsClient, name: str) -> None:
    async with client.subject(name).subscribe("billing") as billing:
        await client.subject(name).publish(b"\xff not json")
        delivery = await anext(billing)
    assert delivery.data == b"\xff not json"
    with pytest.raises(PayloadError):
        _ = delivery.value


async def test_what_a_lost_connection_has_no_room_for_is_refused(
    client: NatsClient, server: Server, name: str
) -> None:
    await server.kill()
    await until(lambda: not client.is_connected)
    try:
        for _ in range(4):
            await client.subject(name).publish(b"x" * 500_000)
        with pytest.raises(PublishRefused, match="buffer"):  # nats-py keeps two megabytes
            await client.subject(name).publish(b"x" * 500_000)
    finally:
        await server.restart()
