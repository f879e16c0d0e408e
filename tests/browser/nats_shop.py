"""A shop on a real NATS, for notebooks that a test writes: one publishes, three subscribe, all is shown."""

from __future__ import annotations

import asyncio
import atexit
import socket
import subprocess
from collections.abc import Callable
from time import perf_counter
from typing import Any

from labkit.brokers.nats import program
from labkit.brokers.nats.client import NatsClient
from labkit.feed import Feed
from labkit.servers.server import State
from labkit.topology import Lane
from labkit.widgets import BrokerCards, MessageFlow

SUBSCRIBERS = {"billing": "orders.paid", "shipping": "orders.created", "audit": "orders.*"}
EVENTS = ("created", "paid")


class RealNats:
    """A nats-server as a child of the kernel, in the words of a server."""

    broker = "nats"
    how = "process"

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.program = program.find()
        self.version = self.program.version
        self.url = f"nats://127.0.0.1:{self.port}"
        self.state = State.STOPPED
        self.ready_in: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        atexit.register(self.kill_now)

    def on_change(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def _become(self, state: State) -> None:
        self.state = state
        for callback in list(self._callbacks):
            callback(self)

    async def start(self) -> None:
        self._become(State.STARTING)
        began = perf_counter()
        argv = [str(self.program.path), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)  # noqa: ASYNC220  # it takes 1 ms
        while not await self._says_info():  # noqa: ASYNC110  # nobody tells when it is ready
            await asyncio.sleep(0.005)
        self.ready_in = perf_counter() - began
        self._become(State.RUNNING)

    async def _says_info(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        hello = await reader.readline()
        writer.close()
        return hello.startswith(b"INFO")

    def kill_now(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def kill(self) -> None:
        self.kill_now()
        self._become(State.DEAD)


class Shop:
    """Numbered orders on NATS at a rate, three subscribers, and the picture of it all."""

    def __init__(self, *publishers: str) -> None:
        self.publishers = publishers or ("shop",)
        self.feed = Feed()
        self.server = RealNats()
        self.rate = 0.0
        self.rates: list[float] = []
        self.sent = 0
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> Shop:
        await self.server.start()
        self.client = await NatsClient(self.server.url, self.feed).open()
        self.subscriptions = {}
        for name, subject in SUBSCRIBERS.items():
            subscription = self.client.subject(subject).subscribe(name)
            await subscription.open()
            self.subscriptions[name] = subscription.run(lambda delivery: None)
        listening = self.subscriptions.values()
        lane = Lane.of(self.client.subject("orders.*"), *listening, publishers=self.publishers)
        servers: Any = {"nats": self.server}
        self.flow = MessageFlow(
            [lane],
            feed=self.feed,
            servers=servers,
            title="Orders",
            on_rate=self.set_rate,
            on_kill=lambda broker: self.server.kill(),
            on_restart=lambda broker: self.server.start(),
        )
        self.cards = BrokerCards(servers)
        self.task = asyncio.create_task(self._publish())
        return self

    def set_rate(self, rate: float) -> None:
        self.rates.append(rate)
        self.rate = rate

    async def send(self, count: int) -> None:
        """Publish this many orders, and wait until everybody has got what they want."""
        for _ in range(count):
            await self._send_one()
        await self.client.native.flush()
        while self.received("audit") < self.sent:  # noqa: ASYNC110  # a feed has no event of its own
            await asyncio.sleep(0.01)

    async def _send_one(self) -> None:
        self.sent += 1
        await self.client.subject(f"orders.{EVENTS[self.sent % 2]}").publish({"order": self.sent})

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(1 / self.rate if self.rate else 0.05)
            if self.rate:
                await self._send_one()

    def received(self, name: str) -> int:
        totals = self.feed.totals().get(self.subscriptions[name].place, {})
        return sum(totals.values())

    def totals(self) -> dict[str, int]:
        """What the kernel knows, in the words of the page."""
        return {"sent": self.sent, **{name: self.received(name) for name in self.subscriptions}}
