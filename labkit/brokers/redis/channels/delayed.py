"""Messages that shall be there later: a sorted set, with the time as the score, and somebody who moves them.

Redis delays nothing by itself. This is the usual way to do it by hand: a waiting message is a member of a
sorted set, and ``move_due`` moves those whose time has come. Nothing moves until it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from labkit.brokers.redis.channels.list import RedisList
from labkit.brokers.redis.channels.stream import Stream
from labkit.brokers.redis.errors import publish
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["Delayed"]

WAIT = """
local now = redis.call('TIME')
local due = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[1]
return redis.call('ZADD', KEYS[1], due, ARGV[2])
"""
"""Adds a member that is due some milliseconds from now, by the server's clock."""

MOVE_DUE = """
local now = redis.call('TIME')
local due = redis.call('ZRANGE', KEYS[1], '-inf', now[1] * 1000 + math.floor(now[2] / 1000),
                       'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
    local data = string.sub(member, 17)
    if ARGV[2] == 'list' then redis.call('LPUSH', KEYS[2], data)
    else redis.call('XADD', KEYS[2], '*', 'data', data) end
    redis.call('ZREM', KEYS[1], member)
end
return #due
"""
"""Moves what is due. A member begins with 16 bytes that tell it from others with the same payload."""


class Delayed:
    """The waiting room of a list or a stream. It carries payloads only: no headers, no keys."""

    def __init__(self, client: RedisClient, target: RedisList | Stream) -> None:
        self.client = client
        self.target = target
        self.name = f"{target.name}::delayed"
        """The name of the sorted set."""

    async def publish(self, value: object, *, delay: float, publisher: str = "shop") -> None:
        """Have this message wait for ``delay`` seconds; it is counted as sent to the list or stream now.

        Raises ``PublishRefused`` or ``PublishInDoubt``.
        """
        data = encode(value)
        self.client.require_open()
        sending = self._send(data, int(delay * 1000))
        meters = self.target.meters(publisher)
        if meters is None:
            await sending
        else:
            await self.target._observed(sending, Message(data, self.target.name), meters)

    async def _send(self, data: bytes, delay: int) -> None:
        command = ("EVAL", WAIT, 1, self.name, delay, uuid4().bytes + data)
        await publish(self.client, command, self.name, len(data))

    async def move_due(self, count: int = 100) -> int:
        """Move up to ``count`` messages whose time has come, the oldest first, and return how many."""
        what = f"Redis did not move what is due for {self.target.name!r}"
        keys = self.name, self.target.name
        return int(await self.client.ask(what, "EVAL", MOVE_DUE, len(keys), *keys, count, self.target.kind))

    async def depth(self) -> int:
        """Return how many messages wait, those that are due and were not moved among them."""
        return int(
            await self.client.ask(
                f"Redis did not count what waits for {self.target.name!r}", "ZCARD", self.name
            )
        )

    def __repr__(self) -> str:
        return f"<redis delayed {self.target.name!r}>"
