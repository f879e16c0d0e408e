"""What Kafka says to somebody with a wrong password, or without rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from labkit.brokers.kafka import server
from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.client import KafkaClient
from labkit.errors import ConnectFailed, LoginRefused, NotAllowed, PublishRefused
from tests.brokers.kafka.guarded import Guarded, guarded
from tests.brokers.kafka.test_producers import AT_MOST
from tests.conftest import require

pytestmark = pytest.mark.asyncio(loop_scope="session")
TOPIC = "orders"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker() -> AsyncIterator[Guarded]:
    require("kafka")
    async with guarded() as broker:
        async with KafkaClient(broker.operator) as operator:
            await operator.topic(TOPIC)
        yield broker


@pytest_asyncio.fixture(loop_scope="session")
async def ann(broker: Guarded) -> AsyncIterator[KafkaClient]:
    async with KafkaClient(broker.url("ann:secret")) as client:
        yield client


@pytest.mark.parametrize("login", ["ann:wrong", "nobody:secret"])
async def test_a_wrong_user_or_password_is_said_to_be_one(broker: Guarded, login: str) -> None:
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(LoginRefused, match="SaslAuthenticationFailed") as caught:
            await KafkaClient(broker.url(login)).open()
    assert "password" in caught.value.remedy
    assert caught.value.__cause__ is not None


async def test_a_broker_that_asks_for_a_password_can_be_used_as_an_external_one(broker: Guarded) -> None:
    assert await server.probe(broker.url("ann:secret")) == ""


async def test_a_mechanism_the_broker_does_not_have_is_said_to_be_one(broker: Guarded) -> None:
    with pytest.raises(LoginRefused, match="UnsupportedSaslMechanism"):
        await KafkaClient(broker.url("ann:secret"), mechanism="SCRAM-SHA-256").open()


async def test_no_password_where_one_is_wanted_is_no_connection(broker: Guarded) -> None:
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(ConnectFailed):
            await KafkaClient(f"kafka://{broker.address}").open()


async def test_the_password_is_in_no_error_and_no_name(broker: Guarded) -> None:
    client = KafkaClient(broker.url("ann:wr%40ng"))
    assert client.address.password == "wr@ng"
    with pytest.raises(LoginRefused) as caught:
        await client.open()
    assert "wr@ng" not in f"{caught.value} {client!r} {client.address!r}"


async def test_publishing_where_one_may_not_is_not_allowed_and_refused(ann: KafkaClient) -> None:
    producer = await ann.producer(acks="all")
    with pytest.raises(NotAllowed, match=TOPIC) as caught:
        await producer.publish(TOPIC, 1)
    assert isinstance(caught.value, PublishRefused)


async def test_subscribing_where_one_may_not_is_not_allowed(ann: KafkaClient) -> None:
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(NotAllowed):
            await Topic(ann, TOPIC, 1).subscribe("billing").open()


async def test_asking_for_the_offsets_of_a_forbidden_topic_ends(ann: KafkaClient) -> None:
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(NotAllowed):
            await Topic(ann, TOPIC, 1).offsets()


async def test_creating_a_topic_without_the_right_is_not_allowed(ann: KafkaClient) -> None:
    with pytest.raises(NotAllowed, match="invoices"):
        await ann.topic("invoices")


async def test_a_transactional_id_without_the_right_is_not_allowed(ann: KafkaClient) -> None:
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(NotAllowed, match="shop"):
            await ann.transactions("shop")


async def test_forbidden_topics_are_not_listed(ann: KafkaClient) -> None:
    assert await ann.admin.topics() == []
