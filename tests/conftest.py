"""What every test may need: real brokers, or a reason why this machine has none."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import pytest_asyncio

from labkit.errors import ProgramMissing
from labkit.servers import Fleet, State
from labkit.servers.choice import how_to_run
from labkit.servers.engine import Engine
from tests.operated import OperatedFleet

REQUIRED = {name for name in os.environ.get("LABKIT_REQUIRE", "").split(",") if name}


def require(broker: str) -> None:
    """Skip the test if this machine has no such broker; fail it where ``LABKIT_REQUIRE`` names the broker."""
    if how_to_run(broker, None) == "container":
        require_engine()
        return
    try:
        import_module(f"labkit.brokers.{broker}.program").find()
    except ProgramMissing as missing:
        if broker in REQUIRED:
            pytest.fail(f"LABKIT_REQUIRE names {broker}: {missing}")
        pytest.skip(str(missing))


def require_engine() -> None:
    """Skip the test if there is no container engine; fail it where ``LABKIT_REQUIRE`` names containers.

    `make test-containers` does, and brings an engine where there is none.
    """
    if why_not := _why_no_engine():
        if "containers" in REQUIRED:
            pytest.fail(f"LABKIT_REQUIRE names containers: {why_not}")
        pytest.skip(why_not)


@cache
def _why_no_engine() -> str:
    try:
        Engine.connect().close()
    except ProgramMissing as missing:
        return str(missing)
    return ""


class SharedFleet(Fleet):
    """A fleet for a whole session of tests: whoever asks for a broker finds it running."""

    async def start(self, broker: str):  # type: ignore[no-untyped-def]
        require(broker)
        server = await super().start(broker)
        if server.state is State.PAUSED:
            await server.resume()
        return server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet() -> AsyncIterator[Fleet]:
    """Brokers that all tests share; each is started when it is first asked for.

    ``LABKIT_HOW`` says how they run; with ``LABKIT_TEST_EXTERNAL`` the lab is given their addresses only.
    """
    fleet = await SharedFleet.open()
    if os.environ.get("LABKIT_TEST_EXTERNAL"):
        external = await OperatedFleet.open()
        external.operators = fleet
        yield external
        await external.close()
    else:
        yield fleet
    await fleet.close()


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A labs' home of the test's own, which uses the programs of the real one."""
    from labkit.home import programs_folder

    programs = programs_folder()
    home = tmp_path / "home"
    home.mkdir()
    (home / "programs").symlink_to(programs)
    monkeypatch.setenv("LABKIT_HOME", str(home))
    return home
