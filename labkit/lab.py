"""A lab: running brokers, a connected client for each, and a feed of everything that happens to messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from labkit.brokers import BROKERS, experiments, new_client
from labkit.errors import LabError, ProgramMissing
from labkit.feed import Feed, Several
from labkit.ledger import Ledger
from labkit.servers import Fleet, Server
from labkit.servers.choice import How
from labkit.session import in_notebook

if TYPE_CHECKING:
    from labkit.brokers.kafka.client import KafkaClient
    from labkit.brokers.nats.client import NatsClient
    from labkit.brokers.rabbitmq.client import RabbitmqClient
    from labkit.brokers.redis.client import RedisClient
    from labkit.widgets import BrokerCards, GuaranteesTable, Lane, MessageFlow

__all__ = ["Lab"]

CLOSE_SECONDS = 15.0
"""How long a lab waits for its clients to say goodbye before it ends the brokers anyway."""

_last_in_notebook: Lab | None = None


class Lab:
    """Real brokers to learn from. Make one with ``Lab.start`` or ``Lab.attach``.

    ``lab.nats``, ``lab.rabbitmq``, ``lab.redis`` and ``lab.kafka`` are connected clients;
    ``lab.servers["nats"]`` is the running broker; ``lab.feed`` counts every message; ``lab.missing`` says
    which brokers this machine lacks, and how to get them.
    """

    def __init__(self, fleet: Fleet, ledger: Ledger | None = None) -> None:
        self.feed = Feed()
        self._ledger = ledger
        self._observer = Several(self.feed, *([] if ledger is None else [ledger]))
        self.missing: dict[str, ProgramMissing] = {}
        self._fleet = fleet
        self._clients: dict[str, Any] = {}
        self._closing: list[Callable[[], Any]] = []
        self._ending: list[Callable[[], Any]] = []
        self._asked_for: tuple[str, ...] = ()
        self._is_open = True

    @classmethod
    async def start(
        cls,
        *brokers: str,
        name: str | None = None,
        keep: bool = False,
        standard_ports: bool = False,
        ledger: Ledger | bool = False,
        how: How = None,
    ) -> Lab:
        """Start brokers (all four if none is named) side by side, connect to each, and show their cards.

        The brokers end with this process, however it ends. ``keep`` leaves their data for the next lab of
        the same ``name``. ``standard_ports`` listens on 4222, 5672, 6379 and 9092 instead of free ports.
        ``how`` is "process" or "container", for all or by broker: ``{"kafka": "container"}``; where it says
        nothing, ``LABKIT_HOW`` may, and else brokers run as processes.
        ``ledger`` keeps account of every message, in memory or in the ``Ledger`` given: ``lab.ledger``.
        A broker whose program is not on this machine is left out and named in ``lab.missing``.
        In a notebook, running the cell again ends the lab it started before.

        Raises ``StartFailed`` if a broker does not come up; then no broker of this lab is left running.
        """
        if in_notebook():
            await _end_previous()
        fleet = await Fleet.open(name=name, keep=keep, standard_ports=standard_ports, how=how)
        lab = cls(fleet, Ledger() if ledger is True else ledger or None)
        return await lab._begin(brokers or tuple(BROKERS))

    @classmethod
    async def attach(cls, name: str = "lab", *, ledger: Ledger | bool = False) -> Lab:
        """Connect to the brokers that ``labkit up`` started. They go on when this process ends."""
        if in_notebook():
            await _end_previous()
        fleet = await Fleet.attach(name)
        lab = cls(fleet, Ledger() if ledger is True else ledger or None)
        return await lab._begin(tuple(broker for broker in BROKERS if broker in fleet.servers))

    async def _begin(self, brokers: tuple[str, ...]) -> Lab:
        global _last_in_notebook
        self._asked_for = brokers = tuple(dict.fromkeys(brokers))
        unknown = sorted(set(brokers) - set(BROKERS))
        try:
            if unknown:
                raise LabError(f"There is no broker {unknown[0]!r}.", remedy=f"one of {', '.join(BROKERS)}")
            if in_notebook():
                _last_in_notebook = self
                self._show_cards()
            await self._fleet.start_all(brokers, self._begin_one)
        except BaseExceptionGroup as errors:
            await self.stop()
            raise _first_cause(errors) from errors
        except BaseException:
            await self.stop()
            raise
        return self

    async def _begin_one(self, broker: str) -> None:
        try:
            server = await self._fleet.start(broker)
        except ProgramMissing as missing:
            self.missing[broker] = missing
            return
        client = new_client(broker, server.url, self._observer)
        await client.open()
        self._clients[broker] = client

    @property
    def servers(self) -> Mapping[str, Server]:
        """The brokers of this lab by name, in the order they were asked for."""
        return self._in_order(self._fleet.servers)

    @property
    def clients(self) -> Mapping[str, Any]:
        """The connected clients by broker, in the order they were asked for."""
        return self._in_order(self._clients)

    def _in_order(self, found: Mapping[str, Any]) -> dict[str, Any]:
        # Not in the order in which they became ready, which differs from run to run.
        return {broker: found[broker] for broker in self._asked_for if broker in found}

    @property
    def ledger(self) -> Ledger:
        """The account of every message. Raises ``LabError`` unless the lab was started with one."""
        if self._ledger is None:
            raise LabError("This lab keeps no ledger.", remedy="Lab.start(..., ledger=True)")
        return self._ledger

    @property
    def nats(self) -> NatsClient:
        """The NATS client. Raises ``ProgramMissing`` where this machine has no NATS."""
        client: NatsClient = self._client("nats")
        return client

    @property
    def rabbitmq(self) -> RabbitmqClient:
        """The RabbitMQ client. Raises ``ProgramMissing`` where this machine has no RabbitMQ."""
        client: RabbitmqClient = self._client("rabbitmq")
        return client

    @property
    def redis(self) -> RedisClient:
        """The Redis client. Raises ``ProgramMissing`` where this machine has no Redis or Valkey."""
        client: RedisClient = self._client("redis")
        return client

    @property
    def kafka(self) -> KafkaClient:
        """The Kafka client. Raises ``ProgramMissing`` where this machine has no Kafka."""
        client: KafkaClient = self._client("kafka")
        return client

    def _client(self, broker: str) -> Any:
        if broker in self.missing:
            raise self.missing[broker]
        if broker not in self._clients:
            raise LabError(f"This lab has no {broker}.", remedy=f'Lab.start(..., "{broker}")')
        return self._clients[broker]

    async def kill(self, broker: str) -> None:
        """End the broker at once with SIGKILL, as a crash would. Its clients find out by themselves."""
        await self._server(broker).kill()

    async def restart(self, broker: str) -> None:
        """Start the broker again, on the same ports with the same data; stop it first if it runs."""
        await self._server(broker).restart()

    async def pause(self, broker: str) -> None:
        """Freeze the broker with SIGSTOP: connections stay open, nobody answers."""
        await self._server(broker).pause()

    async def resume(self, broker: str) -> None:
        """Let a frozen broker go on."""
        await self._server(broker).resume()

    def _server(self, broker: str) -> Server:
        if broker not in self.servers:
            running = ", ".join(self.servers) or "none"
            raise LabError(f"This lab runs no {broker}.", remedy=f"one of: {running}")
        return self.servers[broker]

    def flow(self, *lanes: Lane, **options: Any) -> MessageFlow:
        """Return the live picture of these lanes, with buttons that kill and restart this lab's brokers.

        ``options`` are ``MessageFlow``'s own: ``rate`` and ``on_rate`` for the slider, ``title``.
        """
        from labkit.widgets import MessageFlow

        flow = MessageFlow(
            lanes,
            feed=self.feed,
            servers=self._fleet.servers,
            on_kill=self.kill,
            on_restart=self.restart,
            **options,
        )
        self._closing.append(flow.stop)
        return flow

    def cards(self) -> BrokerCards:
        """Return a card for each broker: version, address, how it runs, time to ready; live."""
        from labkit.widgets import BrokerCards

        cards = BrokerCards(self._fleet.servers, self.missing, self._asked_for)
        self._closing.append(cards.stop)
        return cards

    def guarantees(self, *brokers: str) -> GuaranteesTable:
        """Return what each kind of channel of these brokers, or of all of the lab, promises, to be tried.

        Its experiments use connections of their own, and are not in the feed or the ledger. Some kill the
        broker for real.
        """
        from labkit.widgets import GuaranteesTable

        for broker in set(brokers) - set(self.missing):
            self._server(broker)
        kinds = [kind for broker in brokers or self._asked_for for kind in experiments(broker)]
        table = GuaranteesTable(kinds, self.servers, self.missing)
        self._ending.append(table.stop)
        return table

    async def stop(self) -> None:
        """Close every client and end every broker this lab started. Safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        for end in self._ending:  # first, so that nobody kills or restarts a broker meanwhile
            end()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*(client.close() for client in self._clients.values()))
        except TimeoutError:
            pass  # a client that cannot say goodbye must not keep its broker alive
        finally:
            await self._fleet.close()
            for close in self._closing:  # last, so that pictures show how the brokers ended
                close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _show_cards(self) -> None:
        from IPython.display import display

        display(self.cards())  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        state = "open" if self._is_open else "stopped"
        return f"<Lab {state}: {', '.join(self.servers) or 'no brokers'}>"


async def _end_previous() -> None:
    """End the lab that an earlier run of a cell left open; its brokers would only be in the way."""
    if _last_in_notebook is not None:
        await _last_in_notebook.stop()


def _first_cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that started it: the first in the group that is no group itself."""
    first = errors.exceptions[0]
    return _first_cause(first) if isinstance(first, BaseExceptionGroup) else first
