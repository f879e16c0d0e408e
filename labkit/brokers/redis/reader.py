"""Subscribers that ask for messages with a command that waits: BRPOP, BLMOVE, XREAD, XREADGROUP."""

from __future__ import annotations

import asyncio
import logging
import math
from abc import abstractmethod
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import OpenDelivery
from labkit.brokers.redis.errors import LOST, asking, meaning
from labkit.brokers.subscription import AnyDelivery, Subscription
from labkit.errors import BrokerError, SettleFailed

if TYPE_CHECKING:
    from labkit.brokers.redis.client import RedisClient

__all__ = ["BLOCK_SECONDS", "RECONNECT_SECONDS", "Reader", "ReadingSubscription"]

BLOCK_SECONDS = 1.0
"""How long Redis lets one question wait for a message; then it is asked again."""

RECONNECT_SECONDS = 0.1
LEAVE_SECONDS = 2.0
"""How long a closing subscriber waits for the answer that is under way."""

log = logging.getLogger("labkit")


class Reader:
    """A connection that waits for messages, and for nothing else.

    It has no time-out: Redis says when there was nothing. Whoever gives up waiting loses nothing by it: the
    answer that is under way is the answer to the next ``ask``, or what ``end`` returns.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._connection: AbstractConnection = client.reader()
        self._id: int | None = None
        self._is_asked = False
        self._turn = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as one knows."""
        return bool(self._connection.is_connected)

    async def open(self) -> None:
        """Connect, with nothing under way. Raises what redis-py raises."""
        if self._is_asked:
            await self.drop()
        await self._connection.connect()  # type: ignore[no-untyped-call]
        try:
            await self._connection.send_command("CLIENT", "ID")
            self._id = await self._connection.read_response()
        except ResponseError:  # this user may not ask; then closing takes as long as a question waits
            self._id = None

    async def ask(self, *command: Any) -> Any:
        """Return the answer to this command, or to the one before if nobody has seen its answer."""
        async with self._turn:
            if not self._is_asked:
                await self._connection.send_command(*command)
                self._is_asked = True
            return await self._answer()

    async def _answer(self) -> Any:
        try:
            reply = await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
        except asyncio.CancelledError:
            raise  # the answer stays on its way
        except ResponseError:
            self._is_asked = False
            raise
        except BaseException:
            await self.drop()
            raise
        self._is_asked = False
        return reply

    async def end(self) -> Any:
        """Close, and return the answer that was under way, None if there was none."""
        last = asyncio.create_task(self._last_answer(), name="last answer from Redis")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    while not last.done():
                        await self._unblock()
                        await asyncio.wait([last], timeout=0.02)
        finally:
            last.cancel()
            await asyncio.wait([last])
            await self.drop()
        return None if last.cancelled() or last.exception() is not None else last.result()

    async def _last_answer(self) -> Any:
        async with self._turn:  # after whoever waits now, who then gets the answer
            return await self._answer() if self._is_asked else None

    async def _unblock(self) -> None:
        """Have Redis answer now. It may not have got the question yet, so this is done again and again."""
        if self._is_asked and self._id is not None:
            try:
                await self._client.execute("CLIENT", "UNBLOCK", self._id)
            except ResponseError:
                self._id = None
            except (RedisError, OSError):
                await self.drop()

    async def drop(self) -> None:
        """Close without a word."""
        self._is_asked = False
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)


class ReadingSubscription(Subscription[AnyDelivery]):
    """A subscription that asks again and again, on a connection that comes back after the broker did.

    A subclass says with which command, what it makes of the answer, and what it looks for when it comes
    (back): messages that it was handed before, and that Redis knows it is not done with.
    """

    def __init__(self, channel: Channel, name: str) -> None:
        super().__init__(channel, name)
        self._ready: deque[AnyDelivery] = deque()
        self._is_back = False

    async def _subscribe(self) -> None:
        client: RedisClient = self.channel.client  # type: ignore[assignment]
        client.require_open()
        self._ready.clear()
        self._reader = Reader(client)
        try:
            await self._come()
        except BaseException:
            await self._reader.drop()
            raise

    async def _come(self) -> None:
        self._is_back = False
        async with asking(f"Redis did not register {self.name} on {self.channel.name!r}"):
            await self._reader.open()
        await self._recover()
        self._is_back = True

    async def _next(self) -> AnyDelivery | None:
        while self._is_open:
            if self._ready:
                return self._ready.popleft()
            try:
                await self._read()
            except AuthenticationError as error:  # redis-py takes it for a lost connection
                raise meaning(error, f"{self.place} cannot come back") from error
            except LOST:
                await asyncio.sleep(RECONNECT_SECONDS)  # a lost broker needs patience only
            except ResponseError as error:
                raise meaning(error, f"{self.place} cannot read") from error
        return None

    async def _read(self) -> None:
        if not (self._is_back and self._reader.is_open):
            await self._come()
        await self._before_reading()
        if self._ready:
            return
        reply = await self._reader.ask(*self._command())
        if reply is None:
            return
        if self._is_open:
            await self._take(reply)
        else:
            await self._put_back(reply)

    async def _unsubscribe(self) -> None:
        self._ready.clear()
        reply = await self._reader.end()
        if reply is not None:
            await self._put_back(reply)

    async def abandon(self) -> None:
        """End as a program does that is killed: the connection ends, and Redis is told nothing."""
        if not self._is_open:
            return
        self._is_open = False
        self.channel.client.release(self)
        await self._end_worker()
        self._ready.clear()
        await self._reader.drop()

    async def _settle(self, delivery: AnyDelivery) -> None:
        if not isinstance(delivery, OpenDelivery) or delivery.is_settled:
            return
        try:
            await delivery.ack()
        except SettleFailed as error:
            log.warning("%s was not acknowledged, and may come again: %s", delivery, error.what)

    async def _recover(self) -> None:
        """Register, and make ready what this subscriber was handed before and is not done with."""

    async def _before_reading(self) -> None:
        """Make ready what is to come before the next message, if anything."""

    @abstractmethod
    def _command(self) -> tuple[Any, ...]:
        """Return the command that waits for messages, up to ``BLOCK_SECONDS``."""

    @abstractmethod
    async def _take(self, reply: Any) -> None:
        """Make ready what came."""

    async def _put_back(self, reply: Any) -> None:
        """Give back what came while this subscription was closed."""

    async def _try_to_put_back(self, *command: Any) -> None:
        """Send the command that gives one message back; say so if it is lost by that."""
        client: RedisClient = self.channel.client  # type: ignore[assignment]
        try:
            await client.ask(f"Redis did not take back what {self.name} did not use", *command)
        except BrokerError as error:
            log.warning("What came for %s while it left could not be given back: %s", self.place, error)
