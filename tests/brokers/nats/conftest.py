"""A connected client, and a server of the test's own that knows users."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from labkit.brokers.nats.client import NatsClient
from labkit.brokers.nats.program import find
from labkit.feed import Feed
from labkit.servers.ports import LOOPBACK, free_ports, is_taken
from tests.conftest import require
from tests.support import ends_with_us, unique, until

if TYPE_CHECKING:
    from labkit.servers import Fleet, Server


@pytest_asyncio.fixture(loop_scope="session")
async def server(fleet: Fleet) -> Server:
    return await fleet.start("nats")


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Server, feed: Feed) -> AsyncIterator[NatsClient]:
    """A program connected to the shared broker."""
    client = await NatsClient(server.url, feed).open()
    yield client
    await client.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return unique("ORDERS")


ANN = """{
    publish: ["orders.>", "ANN.>", "_INBOX.>", "$JS.API.STREAM.CREATE.ANN", "$JS.API.STREAM.CREATE.MORE"]
    subscribe: ["orders.>", "_INBOX.>"]
}"""


class SecuredServer:
    """A nats-server that knows users: ann may use orders, admin everything, and deaf may hear no replies."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(["client"])["client"]
        self._folder = folder
        self._config = folder / "nats.conf"

    def url(self, user: str = "ann", password: str = "pw") -> str:
        return f"nats://{user}:{password}@{LOOPBACK}:{self.port}"

    def allow(self, permissions: str) -> None:
        """Write down what ann may do."""
        self._config.write_text(
            f"""
            listen: "{LOOPBACK}:{self.port}"
            pid_file: "{self._folder}/pid"
            jetstream {{ store_dir: "{self._folder}/js" }}
            authorization {{ users: [
              {{ user: admin, password: adm }}
              {{ user: ann, password: pw, permissions: {permissions} }}
              {{ user: deaf, password: pw, permissions: {{ publish: [">"], subscribe: ["orders.>"] }} }}
            ] }}
            """
        )

    def start(self) -> None:
        argv = (*ends_with_us(), str(find().path), "-c", str(self._config))
        log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        log.close()

    async def ready(self) -> None:
        await until(lambda: is_taken(self.port))

    def reload(self) -> None:
        """Make the server read its configuration again; it does so at once, and says nothing."""
        argv = (str(find().path), "--signal", f"reload={self._folder}/pid")
        subprocess.run(argv, check=True, capture_output=True)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def secured(tmp_path: Path) -> AsyncIterator[SecuredServer]:
    require("nats")
    server = SecuredServer(tmp_path)
    server.allow(ANN)
    server.start()
    await server.ready()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def ann(secured: SecuredServer, feed: Feed) -> AsyncIterator[NatsClient]:
    """A user who may use the subjects ``orders.>`` and make the streams ANN and MORE."""
    client = await NatsClient(secured.url(), feed).open()
    yield client
    await client.close()


@pytest_asyncio.fixture(loop_scope="session")
async def admin(secured: SecuredServer) -> AsyncIterator[NatsClient]:
    """A user who may do everything."""
    async with NatsClient(secured.url("admin", "adm")) as client:
        yield client
