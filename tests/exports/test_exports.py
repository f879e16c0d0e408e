"""Exported scripts: the command writes them, they run on a real broker, and leave nothing there."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from labkit.brokers import BROKERS, new_client
from labkit.cli import main
from labkit.lessons.course import course_folder, read_course
from labkit.lessons.export import SCRIPTS
from tests.brokers.rabbitmq.support import evaluated
from tests.support import until_told

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server

LESSONS = [
    lesson.file for lesson in read_course(course_folder()).lessons if lesson.file[:2] not in ("00", "02")
]
CLIENTS = {"nats": "nats", "rabbitmq": "aio_pika", "redis": "redis", "kafka": "aiokafka"}

ACKNOWLEDGES = r"(?m)^( +)await (message\.ack\(\)|redis\.xack\(.*\)|consumer\.commit\(\)).*$"

each_lesson = pytest.mark.parametrize("lesson", LESSONS)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def server(broker: str, fleet: Fleet) -> Server:
    return await fleet.start(broker)


@pytest_asyncio.fixture(loop_scope="session")
async def client(broker: str, server: Server) -> AsyncIterator[Any]:
    client = new_client(broker, server.url)
    await client.open()
    yield client
    await client.close()


async def nats_things(client: Any, server: Server) -> set[str]:
    return {info.config.name for info in await client.native.jetstream().streams_info()}


async def rabbitmq_things(client: Any, server: Any) -> set[str]:
    names = (
        f"[element(4, Name) || Name <- {module}:list_names()]"
        for module in ("rabbit_amqqueue", "rabbit_exchange")
    )
    return set(re.findall(r'<<"(.*?)">>', await evaluated(server, " ++ ".join(names) + ".")))


async def redis_things(client: Any, server: Server) -> set[str]:
    return {key async for key in client.native.scan_iter()}


async def kafka_things(client: Any, server: Server) -> set[str]:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=server.url.removeprefix("kafka://"))
    await admin.start()
    try:
        return {topic for topic in await admin.list_topics() if not topic.startswith("__")}
    finally:
        await admin.close()


THINGS: dict[str, Callable[[Any, Server], Awaitable[set[str]]]] = {
    "nats": nats_things,
    "rabbitmq": rabbitmq_things,
    "redis": redis_things,
    "kafka": kafka_things,
}


async def run(script: Path, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """Run a script as a program of its own; return its exit code, what it printed, and its complaints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


async def run_well(script: Path, *arguments: str, **environment: str) -> str:
    """Run a script that must end well, without a complaint; return what it printed."""
    code, said, complained = await run(script, *arguments, **environment)
    assert (code, complained) == (0, ""), said + complained
    return said


@each_lesson
@pytest.mark.asyncio(loop_scope="session")
async def test_a_script_runs_twice_and_leaves_nothing_on_the_broker(
    lesson: str, broker: str, client: Any, server: Server, tmp_path: Path
) -> None:
    assert main(["export", lesson, broker, "--to", str(tmp_path)]) == 0
    script = tmp_path / f"{lesson}_{broker}.py"
    before = await THINGS[broker](client, server)
    said = await run_well(script, server.url)
    assert said
    assert await run_well(script, **{f"LABKIT_{broker.upper()}_URL": server.url}) == said
    # What goes with its connection goes a moment later.
    await until_told(lambda: THINGS[broker](client, server), lambda things: not things - before)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_saga_that_acknowledges_nothing_says_so_and_leaves_nothing(
    broker: str, client: Any, server: Server, tmp_path: Path
) -> None:
    source = (SCRIPTS / f"06_saga_{broker}.py").read_text()
    broken = re.sub(ACKNOWLEDGES, r"\1pass", source.replace("DEADLINE = 20.0", "DEADLINE = 4.0"))
    assert broken.count("pass") > source.count("pass")
    script = tmp_path / "broken.py"
    script.write_text(broken)
    before = await THINGS[broker](client, server)
    code, _, complained = await run(script, server.url)
    assert code == 1
    # RabbitMQ gives no second message before the first is acknowledged: there, no order comes to its end.
    wrong = "orders" if broker == "rabbitmq" else "left on the broker"
    assert re.search(rf"^{wrong}: this should have been", complained, re.MULTILINE)
    assert "Traceback" not in complained
    await until_told(lambda: THINGS[broker](client, server), lambda things: not things - before)


def names_in(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [one.name for one in node.names] if isinstance(node, ast.Import) else []


@each_lesson
@pytest.mark.parametrize("broker", BROKERS)
def test_a_script_is_its_clients_own_code_and_says_how_to_run_it(lesson: str, broker: str) -> None:
    source = (SCRIPTS / f"{lesson}_{broker}.py").read_text()
    tree = ast.parse(source)
    imported = {name.partition(".")[0] for node in ast.walk(tree) for name in names_in(node)}
    assert imported - set(sys.stdlib_module_names) == {CLIENTS[broker]}
    told = ast.get_docstring(tree) or ""
    assert "Install:  pip install " in told
    assert f"Run:      python {lesson}_{broker}.py " in told
    assert len(source.splitlines()) <= 240


def test_without_a_broker_a_script_is_written_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "01_publish_subscribe", "--to", str(tmp_path)]) == 0
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(f"01_publish_subscribe_{broker}.py" for broker in BROKERS)
    for name in written:
        assert (tmp_path / name).read_bytes() == (SCRIPTS / name).read_bytes()
    assert f"python {tmp_path / '01_publish_subscribe_nats.py'}" in capsys.readouterr().out


def test_a_file_that_is_there_is_overwritten_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "03_work_queue_redis.py"
    mine.write_text("mine")
    arguments = ["export", "03_work_queue", "nats", "redis", "--to", str(tmp_path)]
    assert main(arguments) == 1
    assert "03_work_queue_redis.py would be overwritten" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    assert main([*arguments, "--force"]) == 0
    assert mine.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99_nothing"], "no lesson '99_nothing'"),
        (["00_start_here"], "has no script"),
        (["01_publish_subscribe", "zeromq"], "no broker 'zeromq'"),
        (["01_publish_subscribe", "--to", "/nowhere/at/all"], "no folder /nowhere/at/all"),
    ],
)
def test_what_cannot_be_exported_is_said_with_a_way_out(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert "Try: " in told


def test_without_a_lesson_all_that_have_scripts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 0
    told = capsys.readouterr().out
    assert all(lesson in told for lesson in LESSONS)
    assert "00_start_here" not in told
