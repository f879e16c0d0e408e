"""One account of several programs: they publish and subscribe, and some of them are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from labkit.ledger import Ledger
from tests.support import ends_with_us, unique, until

if TYPE_CHECKING:
    from labkit.servers import Fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Workers:
    """Programs of their own, each with a part in the same run."""

    def __init__(self, url: str, folder: Path, ended: ExitStack) -> None:
        self._shared = (url, unique("orders"), str(folder))
        self._ended = ended

    def start(self, role: str, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.ledger_worker", role, name, *self._shared]
        worker = subprocess.Popen([*ends_with_us(), *command], stdout=subprocess.PIPE, text=True)
        self._ended.callback(kill, worker)
        return worker


def kill(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()


def read_until(output: IO[str] | None, number: int) -> None:
    assert output is not None
    for line in output:
        if int(line) >= number:
            return
    raise AssertionError("the worker ended")


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def test_an_account_of_four_programs_adds_up_though_each_was_killed(
    fleet: Fleet, tmp_path: Path, ended: ExitStack
) -> None:
    server = await fleet.start("rabbitmq")
    workers = Workers(server.url, tmp_path, ended)
    readers = [workers.start("subscribe", name) for name in ("one", "two")]
    for publisher in [workers.start("publish", name) for name in ("shop", "mill")]:
        read_until(publisher.stdout, 200)
        kill(publisher)
    account = Ledger(tmp_path)
    await until(lambda: account.verdict().settled >= account.verdict().confirmed)
    for reader in readers:
        kill(reader)

    verdict = account.verdict()
    assert verdict.confirmed >= 400
    assert verdict.lost == 0
    assert verdict.unexpected == 0
    assert verdict.in_doubt <= 2  # each publisher waits for an answer before it sends again
    assert account.verdict(publishers={"shop"}).attempted >= 200
    # The control: half of the subscribers have not seen it all.
    assert account.verdict(readers={"one"}).lost > 0
