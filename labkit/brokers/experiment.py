"""Experiments: each claim about a kind of channel, with what shows it on a real broker."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from labkit.brokers.client import BrokerClient
from labkit.events import Observer
from labkit.guarantees import Answer, Aspect, Claim, Guarantees
from labkit.servers.server import Server

__all__ = ["Bench", "Experiments", "Seen"]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)
_numbers = itertools.count(1)
KILLS_BROKER = re.compile(r"\bbench\.crash\(|\bserver\.kill\(")


@dataclass(frozen=True, slots=True)
class Seen:
    """What an experiment saw: the answer, and the numbers it rests on, the same in each run."""

    answer: Answer
    words: str


class Bench(Generic[AnyClient]):
    """A real broker to try one thing on: a client, more clients where others take part, fresh names."""

    def __init__(
        self, server: Server, new_client: Callable[..., AnyClient], observer: Observer | None = None
    ) -> None:
        self.server = server
        self._new_client = new_client
        self._observer = observer
        self._clients: list[AnyClient] = []

    @property
    def client(self) -> AnyClient:
        """The client that the experiment uses first."""
        return self._clients[0]

    async def another(self, **options: Any) -> AnyClient:
        """Return one more connected client: another program."""
        client = self._new_client(self.server.url, self._observer, **options)
        await client.open()
        self._clients.append(client)
        return client

    def name(self, word: str) -> str:
        """Return a name that nobody else uses on this broker."""
        return f"{word}-{next(_numbers)}"

    async def crash(self) -> None:
        """Kill the broker with SIGKILL, and start it again on the same data and ports."""
        await self.server.kill()
        await self.server.restart()

    async def __aenter__(self) -> Self:
        await self.another()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in reversed(self._clients):
            await client.close()


Experiment = Callable[[Bench[AnyClient]], Awaitable[Seen]]


class Experiments(Generic[AnyClient]):
    """One kind of channel's claims. There is no way to make a claim without its experiment."""

    def __init__(
        self, client: Callable[..., AnyClient], broker: str, channel: str, *, since: str, shown_on: str
    ) -> None:
        self.broker = broker
        self.channel = channel
        self._client = client
        self._since = since
        self._shown_on = shown_on
        self._claims: dict[Aspect, Claim] = {}
        self._experiments: dict[Aspect, Experiment[AnyClient]] = {}

    def claim(
        self, aspect: Aspect, answer: Answer, words: str
    ) -> Callable[[Experiment[AnyClient]], Experiment[AnyClient]]:
        """Claim this answer; the decorated experiment shows it."""

        def register(experiment: Experiment[AnyClient]) -> Experiment[AnyClient]:
            assert aspect not in self._claims, f"{self.channel} claims {aspect} twice"
            self._claims[aspect] = Claim(answer, words)
            self._experiments[aspect] = experiment
            return experiment

        return register

    @property
    def guarantees(self) -> Guarantees:
        """What this kind promises, in the order of the questions."""
        claims: Mapping[Aspect, Claim] = {one: self._claims[one] for one in Aspect if one in self._claims}
        return Guarantees(self.broker, self.channel, self._since, self._shown_on, claims)

    def source(self, aspect: Aspect) -> str:
        """Return the source of the experiment on this, without its claim above it."""
        whole = inspect.getsource(self._experiments[aspect]).rstrip()
        return whole[max(whole.find("async def"), 0) :]

    def kills_broker(self, aspect: Aspect) -> bool:
        """Return whether the experiment on this kills its broker, and starts it again."""
        return KILLS_BROKER.search(self.source(aspect)) is not None

    async def run(self, aspect: Aspect, server: Server, observer: Observer | None = None) -> Seen:
        """Try it on this broker, and return what was seen. Some experiments kill and restart the broker."""
        async with Bench(server, self._client, observer) as bench:
            return await self._experiments[aspect](bench)

    def __repr__(self) -> str:
        return f"<experiments on {self.channel} of {self.broker}>"
