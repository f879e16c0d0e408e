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

REQUIRED = {name for name in os.environ.get("LABKIT_REQUIRE", "").split(",") if name}


def require(broker: str) -> None:
    """Skip the test if this machine has no such broker; fail it where ``LABKIT_REQUIRE`` names the broker."""
    try:
        if how_to_run(broker, None) == "container":
            require_engine()
        else:
            import_module(f"labkit.brokers.{broker}.program").find()
    except ProgramMissing as missing:
        if broker in REQUIRED:
            pytest.fail(f"LABKIT_REQUIRE names {broker}: {missing}")
        pytest.skip(str(missing))


@cache
def require_engine() -> None:
    """Raise ``EngineMissing`` unless there is a container engine."""
    Engine.connect().close()


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
    """Brokers that all tests share; each is started when it is first asked for."""
    fleet = await SharedFleet.open()
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
