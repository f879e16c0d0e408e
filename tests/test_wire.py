"""The bytes of a message on the wire, recorded between a real client and a real broker."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.brokers import new_client
from labkit.errors import LabError
from labkit.message import encode
from labkit.patterns.publish_subscribe import open_shops
from labkit.servers import Fleet
from labkit.wire import Frame, record

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDER = {"order": 1, "item": "tea"}
BROKERS = ("nats", "rabbitmq", "redis", "kafka")


async def publish(client: Any) -> None:
    await open_shops({client.broker: client})[client.broker].publish("created", ORDER)


async def frame_on(fleet: Fleet, broker: str) -> Frame:
    server = await fleet.start(broker)
    return await record(new_client(broker, server.url), publish, encode(ORDER))


def meaning(frame: Frame, words: str) -> bytes:
    return next(part.data for part in frame.parts if part.meaning.startswith(words))


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_frame_holds_the_payload_once_and_as_it_was_sent(fleet: Fleet, broker: str) -> None:
    frame = await frame_on(fleet, broker)
    assert frame.broker == broker
    assert frame.data.count(encode(ORDER)) == 1
    assert frame.size == len(frame.data) > len(encode(ORDER))


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_frame_reads_the_same_for_the_same_message(fleet: Fleet, broker: str) -> None:
    first, second = await frame_on(fleet, broker), await frame_on(fleet, broker)
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()


async def test_nats_says_the_size_in_text(fleet: Fleet) -> None:
    payload = encode(ORDER)
    expected = b"PUB orders.created %d\r\n%b\r\n" % (len(payload), payload)
    assert (await frame_on(fleet, "nats")).data == expected


async def test_redis_sends_an_array_of_three_strings(fleet: Fleet) -> None:
    payload = encode(ORDER)
    expected = b"*3\r\n$7\r\nPUBLISH\r\n$14\r\norders.created\r\n$%d\r\n%b\r\n" % (len(payload), payload)
    assert (await frame_on(fleet, "redis")).data == expected


async def test_rabbitmq_names_exchange_and_routing_key_in_the_method_frame(fleet: Fleet) -> None:
    frame = await frame_on(fleet, "rabbitmq")
    assert meaning(frame, "the exchange") == b"orders"
    assert meaning(frame, "the routing key") == b"orders.created"
    assert frame.data[-1:] == b"\xce"


async def test_kafka_asks_to_produce_into_the_topic(fleet: Fleet) -> None:
    frame = await frame_on(fleet, "kafka")
    assert int.from_bytes(frame.data[:4]) == frame.size - 4
    assert meaning(frame, "what is asked") == b"\x00\x00"
    assert meaning(frame, "the topic") == b"orders"


async def test_a_payload_that_was_not_sent_is_a_clear_error(fleet: Fleet) -> None:
    server = await fleet.start("nats")
    with pytest.raises(LabError, match="No message with"):
        await record(new_client("nats", server.url), publish, b"something else")
