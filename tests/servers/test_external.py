"""A broker of somebody else's is used, and never ended."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.errors import NotRunning, StartFailed
from labkit.servers import Fleet, Server, State
from tests.servers.machine import is_gone, is_listening


@pytest.fixture
async def external(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """The broker of another lab, as this lab sees it when the environment names its address."""
    monkeypatch.setenv(f"LABKIT_{server.broker.upper()}_URL", server.url)
    lab = await Fleet.open()
    try:
        yield await lab.start(server.broker)
    finally:
        await lab.close()


async def test_the_broker_in_the_environment_is_used(server: Server, external: Server) -> None:
    assert external.how == "external"
    assert external.state is State.RUNNING
    assert external.url == server.url
    assert external.ports["client"] == server.ports["client"]
    assert (external.pid, external.folder, external.ready_in, external.memory()) == (None, None, None, None)


@pytest.mark.parametrize("act", ["kill", "pause", "resume", "restart"])
async def test_it_is_not_the_labs_to_end_or_freeze(server: Server, external: Server, act: str) -> None:
    with pytest.raises(NotRunning, match="yours") as caught:
        await getattr(external, act)()
    assert f"LABKIT_{server.broker.upper()}_URL" in caught.value.remedy
    assert server.state is State.RUNNING


async def test_a_closed_lab_leaves_it_running(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LABKIT_{server.broker.upper()}_URL", server.url)
    lab = await Fleet.open()
    await lab.start(server.broker)
    await lab.close()
    assert server.pid is not None
    assert not is_gone(server.pid)
    assert is_listening(server.ports["client"])


async def test_an_address_where_nobody_answers_names_the_variable(
    lab: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LABKIT_REDIS_URL", f"redis://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(StartFailed, match="LABKIT_REDIS_URL") as caught:
            await lab.start("redis")
    assert "unset the variable" in caught.value.remedy
    assert caught.value.__cause__ is not None


async def test_an_address_that_is_none_names_the_variable(
    broker: str, lab: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.servers.external.ANSWER_SECONDS", 2.0)
    monkeypatch.setenv(f"LABKIT_{broker.upper()}_URL", "no address at all")
    with pytest.raises(StartFailed, match=f"LABKIT_{broker.upper()}_URL"):
        await lab.start(broker)
