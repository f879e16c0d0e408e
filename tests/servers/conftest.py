"""A home of the test's own that is left empty of processes, and one broker in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labkit.servers import Fleet, Server
from tests.conftest import require
from tests.servers.machine import end, engine_things_of, processes_in, remove_from_engine

BROKERS = ("nats", "rabbitmq", "redis", "kafka")


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """Each broker that this machine can run."""
    require(request.param)
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def no_addresses_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests start brokers, whatever the environment says."""
    for name in BROKERS:
        monkeypatch.delenv(f"LABKIT_{name.upper()}_URL", raising=False)


@pytest.fixture
def home(own_home: Path) -> Iterator[Path]:
    """A home of the test's own; what a failed test leaves running in it is killed."""
    yield own_home
    end([process.pid for process in processes_in(own_home)])
    remove_from_engine(engine_things_of(own_home))


@pytest.fixture
async def lab(home: Path) -> AsyncIterator[Fleet]:
    """A lab of the test's own, with no broker in it."""
    lab = await Fleet.open()
    try:
        yield lab
    finally:
        await lab.close()


@pytest.fixture
async def server(lab: Fleet, broker: str) -> Server:
    """One broker, running."""
    return await lab.start(broker)
