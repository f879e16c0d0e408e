"""How a subscriber asks JetStream for messages: a batch at a time, when it has none left.

Not nats-py's ``fetch``: that makes a task for every message, and loses what it has when it is cancelled.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from nats.aio.msg import Msg

from labkit.brokers.delivery import Delivery
from labkit.brokers.nats.errors import asking
from labkit.brokers.nats.listening import NatsSubscription
from labkit.errors import BrokerError, NotFound

__all__ = ["BATCH", "Pulling"]

BATCH = 100
PULL_SECONDS = 5.0
"""How long JetStream keeps a request for messages. After it the subscriber asks anew."""

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)


class Pulling(NatsSubscription[AnyDelivery]):
    """A subscriber that asks. Whoever derives from it says of which consumer."""

    batch = BATCH
    """How many messages it asks for at a time."""
    _asked = ""
    """The consumer that is asked."""
    _wanted = 0
    """Messages asked for and not come yet."""

    async def _next_native(self) -> Msg | None:
        """Wait for the next message; None if there will be none."""
        while True:
            if self._wanted <= 0 and not self._is_ending:
                await self._ask()
            native = await self._take_within(PULL_SECONDS + 1.0)
            if native is None:
                if self._is_ending:
                    return None
                self._wanted = 0  # a new connection, or a long silence: what was asked for is forgotten
            elif native.reply:
                self._wanted -= 1
                return native
            elif not self._goes_on(native):
                return None

    async def _take_within(self, seconds: float) -> Msg | None:
        assert self._native is not None
        if not self._native._pending_queue.empty():
            return await self._take()
        try:
            async with asyncio.timeout(seconds):
                return await self._take()
        except TimeoutError:
            return None

    async def _ask(self) -> None:
        """Ask for the next batch. While the connection is lost, nats-py keeps the question."""
        assert self._native is not None
        question = json.dumps({"batch": self.batch, **self._terms()}).encode()
        what = f"JetStream was not asked for messages of {self._asked!r}"
        async with asking(what, "check that the broker runs", self.client.denials):
            await self.client.native.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self.channel.name}.{self._asked}", question, self._native.subject
            )
        self._wanted = max(0, self._wanted) + self.batch

    def _terms(self) -> dict[str, Any]:
        return {"expires": int(PULL_SECONDS * 1e9)}

    def _goes_on(self, native: Msg) -> bool:
        """Take note that a question was answered without a message; return whether to ask again.

        Raises if there is no use in that.
        """
        headers = native.headers or {}
        status, words = headers.get("Status", ""), str(headers.get("Description", "")).strip()
        self._wanted -= int(headers.get("Nats-Pending-Messages", self._wanted))
        if status == "503" or "deleted" in words.lower():
            raise NotFound(
                f"The stream {self.channel.name!r} has no consumer {self._asked!r} any more.",
                broker="nats",
                remedy="make it again: `await stream.consumer(...)`",
            )
        if "exceeded" in words.lower() or status == "400":
            raise BrokerError(
                f"JetStream refuses to send {self.name} a batch of {self.batch}: {words}.",
                broker="nats",
                remedy="ask for a smaller batch, or with fewer subscribers",
            )
        return True

    def hear_reconnected(self) -> None:
        self._wake()  # the server that came back knows nothing of what was asked
