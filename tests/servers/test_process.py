"""What a broker of the lab's own does, asked of the machine rather than of the lab."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from labkit.brokers import new_client
from labkit.errors import NotRunning
from labkit.servers import Fleet, Server, State
from tests.servers.durable import MAKE, finds
from tests.servers.machine import (
    HOW,
    engine_things_of,
    is_frozen,
    is_gone,
    is_listening,
    listening_of,
    processes_in,
)
from tests.support import until


async def answers(server: Server) -> bool:
    """Open a client at the server's address, and close it."""
    client = new_client(server.broker, server.url)
    await client.open()
    await client.close()
    return True


def pid_of(server: Server) -> int:
    assert server.pid is not None
    return server.pid


async def test_a_started_broker_runs_and_answers_at_its_address(server: Server) -> None:
    assert server.state is State.RUNNING
    assert server.how == HOW
    assert server.ready_in is not None
    assert server.ready_in > 0
    assert server.version
    assert psutil.pid_exists(pid_of(server))
    assert str(server.ports["client"]) in server.url
    assert await answers(server)


async def test_starting_a_running_broker_changes_nothing(lab: Fleet, server: Server) -> None:
    pid = server.pid
    assert await lab.start(server.broker) is server
    assert server.pid == pid


async def test_it_listens_on_its_ports_on_loopback_and_nowhere_else(server: Server) -> None:
    assert listening_of(server) == {("127.0.0.1", port) for port in server.ports.values()}


async def test_its_memory_is_that_of_its_processes(server: Server) -> None:
    broker = psutil.Process(pid_of(server))
    memory = server.memory()
    assert memory is not None
    assert memory >= broker.memory_info().rss / 2
    await server.kill()
    assert server.memory() is None


async def test_a_stopped_broker_is_gone(server: Server, home: Path) -> None:
    pid = pid_of(server)
    helpers = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    await server.stop()
    assert server.state is State.STOPPED
    assert server.pid is None
    assert is_gone(pid)
    assert not any(is_listening(port) for port in server.ports.values())
    await until(lambda: all(is_gone(helper) for helper in helpers))


async def test_a_killed_broker_is_dead_and_gone(server: Server) -> None:
    pid = pid_of(server)
    helpers = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    await server.kill()
    assert server.state is State.DEAD
    assert server.pid is None
    assert is_gone(pid)
    assert not any(is_listening(port) for port in server.ports.values())
    await until(lambda: all(is_gone(helper) for helper in helpers))


async def test_a_broker_that_somebody_else_kills_is_noticed(server: Server) -> None:
    os.kill(pid_of(server), signal.SIGKILL)
    await until(lambda: server.state is State.DEAD)
    assert server.pid is None


async def test_what_was_confirmed_is_there_after_a_kill_and_a_restart_on_the_same_ports(
    server: Server,
) -> None:
    ports, pid, url = dict(server.ports), server.pid, server.url
    await MAKE[server.broker](server.url)
    await server.kill()
    await server.restart()
    assert server.state is State.RUNNING
    assert dict(server.ports) == ports
    assert server.url == url
    assert server.pid not in (None, pid)
    assert await finds(server.broker, server.url)


async def test_a_running_broker_is_restarted_with_its_data(server: Server) -> None:
    pid = pid_of(server)
    await MAKE[server.broker](server.url)
    await server.restart()
    assert is_gone(pid)
    assert await finds(server.broker, server.url)


async def test_a_paused_broker_stands_still_until_it_is_resumed(server: Server) -> None:
    await server.pause()
    assert server.state is State.PAUSED
    assert is_frozen(server)
    await server.resume()
    assert server.state is State.RUNNING
    assert not is_frozen(server)
    assert await answers(server)


@pytest.mark.parametrize("act", ["stop", "kill"])
async def test_a_paused_broker_can_be_ended(server: Server, act: str) -> None:
    pid = pid_of(server)
    await server.pause()
    await getattr(server, act)()
    assert is_gone(pid)
    assert server.state is (State.STOPPED if act == "stop" else State.DEAD)


@pytest.mark.parametrize("act", ["pause", "resume"])
async def test_a_dead_broker_cannot_be_paused_or_resumed(server: Server, act: str) -> None:
    await server.kill()
    with pytest.raises(NotRunning, match="dead") as caught:
        await getattr(server, act)()
    assert caught.value.broker == server.broker
    assert "restart" in caught.value.remedy


async def test_ending_a_dead_broker_is_no_error(server: Server) -> None:
    await server.kill()
    await server.kill()
    await server.stop()
    assert server.state is State.STOPPED


async def test_a_watcher_hears_each_state_until_it_ends_that(server: Server) -> None:
    heard: list[State] = []
    forget = server.on_change(lambda changed: heard.append(changed.state))
    await server.pause()
    await server.resume()
    await server.kill()
    await server.start()
    await server.stop()
    states = [State.PAUSED, State.RUNNING, State.DEAD, State.STARTING, State.RUNNING, State.STOPPED]
    assert heard == states
    forget()
    await server.start()
    assert heard == states


async def test_a_closed_lab_leaves_no_process_and_no_folder(lab: Fleet, server: Server, home: Path) -> None:
    folder = lab.folder
    assert processes_in(home)
    await lab.close()
    assert processes_in(home) == []
    assert engine_things_of(home) == []
    assert not folder.exists()
    assert server.state is State.STOPPED
    await lab.close()
