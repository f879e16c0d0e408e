"""A lab as a whole: brokers, clients and feed together, on real brokers."""

from __future__ import annotations

import pytest

from labkit import Lab
from labkit.brokers import BROKERS
from labkit.errors import LabError
from labkit.servers import State
from tests.conftest import require


async def test_a_started_lab_has_a_connected_client_for_each_broker() -> None:
    for broker in BROKERS:
        require(broker)
    async with await Lab.start() as lab:
        assert set(lab.servers) == set(BROKERS)
        for broker in BROKERS:
            assert getattr(lab, broker).native is not None
            assert lab.servers[broker].state is State.RUNNING


async def test_brokers_are_listed_in_the_order_they_were_asked_for_not_in_which_they_became_ready() -> None:
    for broker in ("rabbitmq", "redis", "nats"):
        require(broker)
    async with await Lab.start("rabbitmq", "redis", "nats", "redis") as lab:
        assert list(lab.servers) == list(lab.clients) == ["rabbitmq", "redis", "nats"]
        assert repr(lab) == "<Lab open: rabbitmq, redis, nats>"


async def test_a_stopped_lab_leaves_no_broker_and_stops_twice_without_harm() -> None:
    require("nats")
    lab = await Lab.start("nats")
    server = lab.servers["nats"]
    await lab.stop()
    await lab.stop()
    assert server.state is State.STOPPED
    assert repr(lab).startswith("<Lab stopped")


async def test_an_unknown_broker_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(LabError, match="no broker 'carrier pigeon'") as caught:
        await Lab.start("carrier pigeon")
    assert "rabbitmq" in caught.value.remedy


async def test_a_broker_that_was_not_asked_for_says_how_to_get_it() -> None:
    require("nats")
    async with await Lab.start("nats") as lab:
        with pytest.raises(LabError, match="no redis") as caught:
            _ = lab.redis
        assert "redis" in caught.value.remedy


async def test_a_killed_broker_comes_back_on_the_same_address() -> None:
    require("nats")
    async with await Lab.start("nats") as lab:
        before = lab.servers["nats"].url
        await lab.kill("nats")
        assert lab.servers["nats"].state is State.DEAD
        await lab.restart("nats")
        assert lab.servers["nats"].state is State.RUNNING
        assert lab.servers["nats"].url == before


async def test_the_table_of_guarantees_has_what_was_asked_for_and_ends_with_the_lab() -> None:
    require("nats")
    async with await Lab.start("nats") as lab:
        guarantees = lab.guarantees()
        assert [group["broker"] for group in guarantees.groups] == ["nats"]
        assert (await guarantees.run("nats", "subject", aspect="ordering")).shown == 1
        with pytest.raises(LabError, match="runs no redis"):
            lab.guarantees("nats", "redis")
    with pytest.raises(LabError, match="stopped"):
        await guarantees.run()
