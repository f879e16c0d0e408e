"""JetStream streams: their settings and limits, and what a publish to them says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nats.js import api

from labkit.brokers.nats.client import NatsClient
from labkit.errors import (
    BrokerError,
    Conflict,
    NoAnswer,
    NotFound,
    PayloadError,
    PublishInDoubt,
    PublishRefused,
    Unsupported,
)
from labkit.events import Kind, Place
from labkit.feed import Feed
from tests.support import until, until_told

if TYPE_CHECKING:
    from labkit.brokers.nats.channels.stream import Stream
    from labkit.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def stored(stream: Stream) -> list[object]:
    async with stream.replay() as replay:
        return [delivery.value async for delivery in replay]


async def test_the_settings_are_those_that_were_asked_for(client: NatsClient, name: str) -> None:
    stream = await client.stream(
        name,
        subjects=[f"{name}.>"],
        retention="interest",
        storage="memory",
        max_messages=1000,
        max_bytes=100_000,
        max_age=3600.0,
        max_message_size=5000,
        discard="new",
        duplicate_window=60.0,
        description="the shop's orders",
    )
    config = (await stream.info()).config
    assert (config.subjects, config.retention, config.storage) == ([f"{name}.>"], "interest", "memory")
    assert (config.max_msgs, config.max_bytes, config.max_age) == (1000, 100_000, 3600.0)
    assert (config.max_msg_size, config.discard, config.duplicate_window) == (5000, "new", 60.0)
    assert config.description == "the shop's orders"


async def test_a_stream_that_is_there_is_found_as_it_is(client: NatsClient, name: str) -> None:
    await (await client.stream(name)).publish(1)
    again = await client.stream(name)
    found = await client.find_stream(name)
    assert [await one.depth() for one in (again, found)] == [1, 1]
    assert found.subjects == (name,)


async def test_other_settings_are_a_conflict_and_can_be_changed_to(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    with pytest.raises(Conflict, match="10058") as caught:
        await client.stream(name, max_messages=5)
    assert caught.value.remedy
    await stream.change(max_msgs=5)
    await client.stream(name, max_messages=5)


async def test_two_streams_cannot_have_one_subject(client: NatsClient, name: str) -> None:
    await client.stream(name, subjects=[f"{name}.>"])
    with pytest.raises(Conflict, match="overlap"):
        await client.stream(f"{name}-other", subjects=[f"{name}.created"])


@pytest.mark.parametrize("bad", ["", "with space", "with.dot", "star*"])
async def test_a_name_that_is_none_says_so(client: NatsClient, bad: str) -> None:
    with pytest.raises(BrokerError, match="name") as caught:
        await client.stream(bad, subjects=["anything"])
    assert caught.value.remedy


async def test_a_stream_that_is_not_there_is_not_found(client: NatsClient, name: str) -> None:
    with pytest.raises(NotFound, match=name):
        await client.find_stream(name)


async def test_a_deleted_stream_is_gone(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await stream.delete()
    with pytest.raises(NotFound):
        await stream.delete()
    with pytest.raises(NotFound):
        await stream.depth()


async def test_purge_removes_all_and_goes_on_counting(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    for number in range(3):
        await stream.publish(number)
    await stream.purge()
    assert await stream.depth() == 0
    assert (await stream.publish(3)).sequence == 4


async def test_one_message_can_be_looked_at_and_removed(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await stream.publish({"order": 1}, headers={"event": "created"})
    message = await stream.get(1)
    assert (message.value, message.channel, message.headers) == ({"order": 1}, name, {"event": "created"})
    await stream.delete_message(1)
    with pytest.raises(NotFound, match="message 1"):
        await stream.get(1)


async def test_a_full_stream_drops_its_oldest(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, max_messages=3)
    for number in range(5):
        await stream.publish(number)
    assert await stored(stream) == [2, 3, 4]


async def test_a_full_stream_refuses_with_discard_new(client: NatsClient, name: str, feed: Feed) -> None:
    stream = await client.stream(name, max_messages=3, discard="new")
    for number in range(3):
        await stream.publish(number)
    with pytest.raises(PublishRefused, match="maximum messages exceeded"):
        await stream.publish(3)
    assert await stored(stream) == [0, 1, 2]
    assert feed.count(Kind.REFUSED, Place("nats", name, "shop")) == 1


async def test_what_is_too_old_goes(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, max_age=0.3)
    await stream.publish(1)
    assert await stream.depth() == 1
    await until_told(stream.depth, lambda depth: depth == 0)


async def test_a_work_queue_forgets_what_is_acknowledged(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, retention="workqueue")
    consumer = await stream.consumer("workers")
    for number in range(3):
        await stream.publish(number)
    async with consumer.subscribe() as worker:
        await (await anext(worker)).ack_sync()
        assert await stream.depth() == 2


async def test_a_work_queue_has_one_consumer_for_each_message(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, subjects=[f"{name}.*"], retention="workqueue")
    await stream.consumer("books", filter=f"{name}.books")
    await stream.consumer("pens", filter=f"{name}.pens")
    with pytest.raises(Conflict):
        await stream.consumer("all")


async def test_interest_keeps_until_every_consumer_is_done(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, retention="interest")
    await stream.publish("nobody is interested")
    assert await stream.depth() == 0
    subscriptions = [await (await stream.consumer(one)).subscribe().open() for one in ("billing", "audit")]
    await stream.publish(1)
    depths = [await stream.depth()]
    for subscription in subscriptions:
        await (await anext(subscription)).ack_sync()
        depths.append(await stream.depth())
    assert depths == [1, 1, 0]


async def test_an_id_that_was_there_already_is_dropped_and_said(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    acks = [await stream.publish(1, message_id=one) for one in ("a", "a", "b")]
    assert [(ack.sequence, ack.duplicate) for ack in acks] == [(1, False), (1, True), (2, False)]


async def test_after_the_duplicate_window_an_id_is_new_again(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, duplicate_window=0.1)
    first = await stream.publish(1, message_id="a")
    ack = await until_told(lambda: stream.publish(1, message_id="a"), lambda ack: not ack.duplicate)
    assert ack.sequence > first.sequence


async def test_a_message_goes_to_one_subject(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, subjects=[f"{name}.*"])
    with pytest.raises(Unsupported, match=f"{name}") as caught:
        await stream.publish(1)
    assert "subject=" in caught.value.remedy
    await stream.publish(1, subject=f"{name}.created")


async def test_a_subject_without_a_stream_is_refused_at_once(
    client: NatsClient, name: str, feed: Feed
) -> None:
    stream = await client.stream(name)
    with pytest.raises(PublishRefused, match="no stream has this subject") as caught:
        await stream.publish(1, subject=f"{name}.unheard")
    assert f"{name}.unheard" in caught.value.remedy
    assert feed.count(Kind.REFUSED, Place("nats", name, "shop")) == 1


async def test_what_is_too_big_for_the_stream_is_refused(client: NatsClient, name: str) -> None:
    stream = await client.stream(name, max_message_size=10)
    with pytest.raises(PublishRefused, match="message size exceeds"):
        await stream.publish(b"x" * 11)


async def test_what_is_too_big_for_the_server_is_refused(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    with pytest.raises(PublishRefused, match="maximum payload") as caught:
        await stream.publish(b"x" * (1024 * 1024 + 1))
    assert "max_payload" in caught.value.remedy


async def test_a_value_that_is_no_json_is_not_sent(client: NatsClient, name: str, feed: Feed) -> None:
    stream = await client.stream(name)
    with pytest.raises(PayloadError):
        await stream.publish({1, 2})
    assert feed.count(Kind.SENT, Place("nats", name, "shop")) == 0


async def test_a_condition_of_jetstreams_own_is_checked(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    await stream.publish(1, headers={api.Header.EXPECTED_LAST_SEQUENCE: "0"})
    with pytest.raises(PublishRefused, match="wrong last sequence"):
        await stream.publish(2, headers={api.Header.EXPECTED_LAST_SEQUENCE: "0"})


async def test_a_publish_without_an_answer_is_in_doubt(
    client: NatsClient, server: Server, name: str, feed: Feed
) -> None:
    stream = await client.stream(name)
    client.jetstream._timeout = 0.1
    await server.pause()
    try:
        with pytest.raises(PublishInDoubt, match="no answer in time") as caught:
            await stream.publish(1)
    finally:
        await server.resume()
    assert "message_id" in caught.value.remedy
    assert feed.count(Kind.IN_DOUBT, Place("nats", name, "shop")) == 1
    await until_told(stream.depth)  # and it was stored after all


async def test_a_question_to_a_frozen_broker_ends(
    client: NatsClient, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await client.stream(name)
    monkeypatch.setattr("labkit.brokers.nats.errors.CALL_SECONDS", 0.1)
    await server.pause()
    try:
        with pytest.raises(NoAnswer) as caught:
            await stream.info()
    finally:
        await server.resume()
    assert caught.value.remedy
    assert caught.value.__cause__ is not None


async def test_the_callers_own_headers_are_left_alone(client: NatsClient, name: str) -> None:
    stream = await client.stream(name)
    headers = {"event": "created"}
    await stream.publish(1, headers=headers, message_id="a")
    assert headers == {"event": "created"}


async def test_what_is_confirmed_is_there_over_kills(client: NatsClient, server: Server, name: str) -> None:
    stream = await client.stream(name)
    for number in range(20):
        await stream.publish(number)
        if number % 7 == 6:
            await server.kill()
            await server.restart()
            await until(lambda: client.is_connected)
            await client.restored()
    assert await stored(stream) == list(range(20))
