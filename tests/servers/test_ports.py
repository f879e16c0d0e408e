"""Ports on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.servers import ports
from labkit.servers.ports import free_ports, is_taken


@pytest.fixture(params=["127.0.0.1", ""], ids=["loopback", "every address"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.create_server((request.param, 0)) as listener:
        yield listener


def test_a_port_is_taken_while_somebody_listens_there(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert is_taken(port)
    listener.close()
    assert not is_taken(port)


def test_a_port_with_old_connections_is_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = listener.accept()
    accepted.close()  # this side closes first, so its address stays behind for a minute
    client.close()
    listener.close()
    assert not is_taken(port)


def test_each_name_gets_a_port_of_its_own() -> None:
    given = free_ports(f"port{number}" for number in range(200))
    assert len(set(given.values())) == 200
    assert not any(is_taken(port) for port in given.values())


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([20_001, 20_001, 20_002])
    monkeypatch.setattr("labkit.servers.ports.random.randrange", lambda low, high: next(drawn))
    monkeypatch.setattr(ports, "is_taken", lambda port: port == 20_001)
    assert free_ports(["client"]) == {"client": 20_002}


def test_ports_lie_below_those_for_outgoing_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "range"
    file.write_text("20000\t60999\n")
    monkeypatch.setattr(ports, "EPHEMERAL", file)
    given = free_ports(f"port{number}" for number in range(100))
    assert all(ports.LOWEST <= port < 20_000 for port in given.values())


@pytest.mark.parametrize("text", [None, "", "no number", "1024 65535"])
def test_there_are_ports_whatever_the_system_says_of_outgoing_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    file = tmp_path / "range"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(ports, "EPHEMERAL", file)
    assert ports.LOWEST <= free_ports(["client"])["client"] < ports.HIGHEST
