"""The whole shop on one broker: its programs, each with a database, and orders that go through them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from labkit.brokers.client import BrokerClient
from labkit.errors import LabError
from labkit.patterns.saga.books import Books
from labkit.patterns.saga.orders import Listener, NaiveCheckout, Orchestrator, Orders, Support
from labkit.patterns.saga.program import DEAD_LETTERS, CrashPoint, Program, World
from labkit.patterns.saga.services import EVENTS, SERVICES, Service
from labkit.patterns.saga.steps import FINISHED, Phase
from labkit.patterns.saga.transport import RECIPES, Transport
from labkit.topology import Lane

__all__ = ["SagaShop", "Style", "lanes_of", "on_all", "open_saga_shops"]

Result = TypeVar("Result")

Style = Literal["orchestrated", "choreographed", "naive"]

LEADERS: Mapping[Style, type[Orders]] = {
    "orchestrated": Orchestrator,
    "choreographed": Listener,
    "naive": NaiveCheckout,
}

WAIT_SECONDS = 30.0
"""The longest to wait for orders that should be on their way."""


class SagaShop:
    """The shop: orders, stock, payment, shipping and support, which only know each other by messages.

    ``style`` says who leads: an orchestrator, nobody, or a program that forgets when it dies. ``stock`` and
    ``money`` are what there is at the start. ``world`` is what the programs meet; ``has_inbox`` and
    ``has_outbox`` are there to be turned off. ``kinds`` puts other programs in the place of the shop's own,
    by name. ``folder`` keeps the databases; if none is given, they go with the shop.
    """

    confirms = True

    def __init__(
        self,
        transport: Transport[Any],
        folder: Path | None = None,
        *,
        style: Style = "orchestrated",
        stock: int = 100,
        money: int = 1000,
        has_inbox: bool = True,
        has_outbox: bool = True,
        kinds: Mapping[str, type[Program]] | None = None,
    ) -> None:
        self.transport = transport
        self._own_folder = TemporaryDirectory(prefix="saga-") if folder is None else None
        self.folder = Path(self._own_folder.name) if self._own_folder else Path(folder or ".")
        self.style = style
        self.stock = stock
        self.money = money
        self.world = World()
        self.programs: dict[str, Program] = {}
        self._replaced = kinds or {}
        self._options = {"has_inbox": has_inbox, "has_outbox": has_outbox}

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.transport.broker

    @property
    def orders(self) -> Orders:
        """The program that takes the orders."""
        orders = self.programs["orders"]
        assert isinstance(orders, Orders)
        return orders

    @property
    def orchestrator(self) -> Orchestrator:
        """The same, where it is an orchestrator."""
        assert isinstance(self.orders, Orchestrator)
        return self.orders

    @property
    def support(self) -> Support:
        """The people who look at dead letters."""
        support = self.programs["support"]
        assert isinstance(support, Support)
        return support

    async def open(self) -> Self:
        """Make the channels, and start every program."""
        kinds = self._kinds()
        await self.transport.open({name: self._address(name) for name in kinds})
        await asyncio.gather(*(self.start(name) for name in kinds))
        self.programs = {name: self.programs[name] for name in kinds}
        return self

    def _kinds(self) -> dict[str, type[Program]]:
        kinds: tuple[type[Program], ...] = (LEADERS[self.style], *SERVICES, Support)
        return {kind.name: self._replaced.get(kind.name, kind) for kind in kinds}

    def _address(self, program: str) -> str:
        if program == Support.name:
            return DEAD_LETTERS
        return EVENTS if self.style == "choreographed" else program

    async def start(self, name: str) -> None:
        """Start a program: a new one, or again on its database."""
        kind = self._kinds()[name]
        program = kind(self.folder, self.transport, self._address(name), self.world, **self._options)
        if isinstance(program, Service):
            program.begin(self._opening(name))
        program.database.checks.append(self._check_books)
        self.programs[name] = program
        await program.open()

    def _check_books(self) -> None:
        """At the end of each program's transactions, while all of them run: is everything still there?"""
        if len(self.programs) == len(self._kinds()) and all(one.is_open for one in self.programs.values()):
            self.books().check()

    def _opening(self, name: str) -> Mapping[str, int]:
        return {
            "stock": {"free": self.stock, "reserved": 0, "sold": 0},
            "payment": {"customer": self.money, "held": 0, "shop": 0},
            "shipping": {"shipped": 0},
        }[name]

    async def kill(self, name: str) -> None:
        """Throw a program away as it is. Its database stays, and ``start`` makes a new one on it."""
        await self.programs[name].kill()

    async def crash(self, name: str) -> None:
        """Kill a program, and start it again."""
        await self.kill(name)
        await self.start(name)

    async def place(self, *numbers: int) -> None:
        """Take orders."""
        for number in numbers:
            self.orders.place(number)

    async def publish(self, event: str, order: Mapping[str, Any]) -> None:
        """Take one order, as ``Traffic`` has it."""
        await self.place(order["order"])

    async def buy(self, *numbers: int) -> list[Phase]:
        """Take orders, and wait until each is finished; return how they ended."""
        await self.place(*numbers)
        return await self.settled(*numbers)

    async def settled(self, *numbers: int) -> list[Phase]:
        """Wait until these orders are finished, and nothing waits to be sent; return how they ended."""
        await self.until(lambda: all(self.orders.phases().get(one) in FINISHED for one in numbers), "an end")
        await self.until(self._is_quiet, "an empty outbox")
        phases = self.orders.phases()
        return [phases[number] for number in numbers]

    def _is_quiet(self) -> bool:
        return not any(program.database.unsent() for program in self.programs.values())

    async def crash_at(self, name: str, point: str, message_id: str, *numbers: int) -> list[Phase]:
        """Take orders, let a program die and start again as ``die_at`` does; return how the orders ended."""
        await self.die_at(name, point, message_id, *numbers)
        return await self.settled(*numbers)

    async def die_at(self, name: str, point: str, message_id: str, *numbers: int) -> None:
        """Take orders, let a program die at this point, and start it again.

        ``point`` is "received", "committed" or "published", of the message with this id ("1:hold"). The books
        are checked at the moment of the crash, too.
        """
        self.world.crash_point = crash = CrashPoint(name, point, message_id)
        await self.place(*numbers)
        await self.until(crash.reached.is_set, f"{message_id} to be {point}")
        self.books().check()
        await self.crash(name)

    async def until(self, condition: Callable[[], object], what: str, within: float = WAIT_SECONDS) -> None:
        """Wait for a condition. Raises what ended a program, or ``LabError`` after ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    for program in self.programs.values():
                        program.raise_error()
                    await asyncio.sleep(0.005)
        except TimeoutError as error:
            raise LabError(
                f"The shop waited {within:g} s for {what}. Its orders: {self.orders.phases()}.",
                broker=self.broker,
                remedy="check that the broker and all programs run",
            ) from error

    def books(self) -> Books:
        """Return what the programs have at this moment."""
        amounts: dict[str, int] = {}
        for program in self.programs.values():
            amounts |= program.database.amounts()
        completed = list(self.orders.phases().values()).count(Phase.COMPLETED)
        return Books(self.stock, self.money, **amounts, completed=completed)

    def lane(self) -> Lane:
        """Return this shop's row for the live picture."""
        publishers = tuple(name for name in self.programs if name != Support.name)
        return self.transport.lane(*self.programs.values(), publishers=publishers)

    async def close(self) -> None:
        """End every program, and remove the channels."""
        for program in self.programs.values():
            await program.close()
        await self.transport.delete()
        if self._own_folder is not None:
            self._own_folder.cleanup()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<SagaShop {self.style} on {self.broker}>"


async def open_saga_shops(
    clients: Mapping[str, BrokerClient], name: str = "saga", **options: Any
) -> dict[str, SagaShop]:
    """Return an open shop on each of these brokers, by name: ``await open_saga_shops(lab.clients)``."""
    shops = {
        broker: SagaShop(recipe(clients[broker], name), **options)
        for broker, recipe in RECIPES.items()
        if broker in clients
    }
    await on_all(shops, SagaShop.open)
    return shops


async def on_all(
    shops: Mapping[str, SagaShop], act: Callable[[SagaShop], Awaitable[Result]]
) -> dict[str, Result]:
    """Do the same in every shop at the same time; return what came of it, by broker."""
    results = await asyncio.gather(*(act(shop) for shop in shops.values()))
    return dict(zip(shops, results, strict=True))


def lanes_of(shops: Mapping[str, SagaShop]) -> list[Lane]:
    """Return a row for each shop, for the live picture: ``lab.flow(*lanes_of(shops))``."""
    return [shop.lane() for shop in shops.values()]
