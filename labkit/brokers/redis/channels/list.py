"""Redis lists as queues: whoever takes an element has it, and Redis forgets it.

An element is bytes and nothing else: a list carries no headers, keys, ids or times. Beside a list ``tasks``,
these names are in use where they are needed:

    tasks:<worker>          what a reliable worker took and is not done with
    tasks:<worker>:alive    there as long as that worker shows that it lives
    tasks::workers          the names of the reliable workers
    tasks::delayed          what shall be in the list later
    tasks.dlq               what was put aside
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.pipeline import WINDOW
from labkit.brokers.redis.channels.reliable import ReliableSubscription
from labkit.brokers.redis.errors import publish
from labkit.brokers.redis.pipeline import ListPipeline
from labkit.brokers.redis.reader import BLOCK_SECONDS, ReadingSubscription
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["ElementDelivery", "ListSubscription", "RedisList"]

LEASE_SECONDS = 10.0
"""How long a reliable worker counts as alive after it was last heard of, unless somebody says otherwise."""

REAP = """
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local moved = 0
while redis.call('LMOVE', KEYS[2], KEYS[1], 'LEFT', 'RIGHT') do moved = moved + 1 end
redis.call('SREM', KEYS[4], ARGV[1])
return moved
"""
"""Puts back what a worker holds, the oldest last, so that it is taken first; nothing if the worker lives."""


class RedisList(Channel):
    """A list used as a queue: added to on the left, taken from on the right."""

    kind = "list"
    client: RedisClient

    def __init__(self, client: RedisClient, name: str) -> None:
        super().__init__(client, name)

    async def publish(self, value: object, *, publisher: str = "shop") -> int:
        """Add one element (LPUSH), and return how long the list was then: Redis has it.

        Raises ``PublishRefused`` or ``PublishInDoubt``.
        """
        data = encode(value)
        self.client.require_open()
        meters = self.meters(publisher)
        if meters is None:
            return await self._send(data)
        return await self._observed(self._send(data), Message(data, self.name), meters)

    push = publish

    async def _send(self, data: bytes) -> int:
        return int(await publish(self.client, ("LPUSH", self.name, data), self.name, len(data)))

    def pipeline(self, window: int = WINDOW, *, publisher: str = "shop") -> ListPipeline:
        """Return a way to add many elements with up to ``window`` of them unanswered."""
        return ListPipeline(self, publisher, window)

    def subscribe(self, name: str) -> ListSubscription:
        """Return a worker called ``name``, not yet open, that takes elements (BRPOP).

        Redis forgets an element when it is taken: what the worker does not finish is lost.
        """
        return ListSubscription(self, name)

    def subscribe_reliably(self, name: str, *, lease: float = LEASE_SECONDS) -> ReliableSubscription:
        """Return a worker called ``name``, not yet open, that moves elements to a list of its own (BLMOVE).

        They stay there until they are acknowledged. When this worker comes back under the same name, it gets
        them first; ``reap`` puts them back into the queue when it was not heard of for ``lease`` seconds. It
        is heard of three times a lease, from a task beside its work. Work that keeps the event loop busy for
        longer than that is taken for death, and is then done twice.
        """
        return ReliableSubscription(self, name, lease)

    async def reap(self) -> int:
        """Put back what dead workers were not done with, and return how many elements that were.

        Dead is who let its lease run out, or left. Each worker's elements go to the front, in their order.
        """
        put_back = 0
        for name in await self.workers():
            what = f"Redis did not put back what {name} had of {self.name!r}"
            keys = self.name, self.held_by(name), self.alive(name), self.registry
            put_back += int(await self.client.ask(what, "EVAL", REAP, len(keys), *keys, name))
        return put_back

    async def workers(self) -> list[str]:
        """Return the names of the reliable workers that are not yet reaped, alive or dead."""
        what = f"Redis did not tell who works on {self.name!r}"
        return sorted(name.decode() for name in await self.client.ask(what, "SMEMBERS", self.registry))

    async def held(self, worker: str) -> int:
        """Return how many elements a reliable worker has taken and is not done with."""
        what = f"Redis did not count what {worker} has of {self.name!r}"
        return int(await self.client.ask(what, "LLEN", self.held_by(worker)))

    async def depth(self) -> int:
        """Return how many elements wait in the list. What workers hold is not among them."""
        return int(await self.client.ask(f"Redis did not count {self.name!r}", "LLEN", self.name))

    async def delete(self) -> None:
        """Remove the list with every element in it; what workers hold stays theirs."""
        await self.client.ask(f"Redis did not delete {self.name!r}", "DEL", self.name)

    def held_by(self, worker: str) -> str:
        """Return the name of the list of what a reliable worker has taken."""
        return f"{self.name}:{worker}"

    def alive(self, worker: str) -> str:
        """Return the name of the key that is there as long as a reliable worker is alive."""
        return f"{self.name}:{worker}:alive"

    @property
    def registry(self) -> str:
        """The name of the set of reliable workers."""
        return f"{self.name}::workers"

    @property
    def dead_letters(self) -> str:
        """The name of the list for what was put aside."""
        return f"{self.name}.dlq"


class ElementDelivery(Delivery):
    """An element that was taken. ``native`` is what BRPOP answered. Redis has forgotten it."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """The payload as sent."""
        return cast("bytes", self.native[1])


class ListSubscription(ReadingSubscription[ElementDelivery]):
    """A worker that takes elements for good, one at a time, when it is ready for one."""

    channel: RedisList

    def _command(self) -> tuple[Any, ...]:
        return ("BRPOP", self.channel.name, BLOCK_SECONDS)

    async def _take(self, reply: Any) -> None:
        self._ready.append(ElementDelivery(reply, _read))

    async def _put_back(self, reply: Any) -> None:
        await self._try_to_put_back("RPUSH", self.channel.name, reply[1])


def _read(native: list[bytes]) -> Message:
    name, data = native
    return Message(data, name.decode(), native=native)
