"""What every NATS subscriber shares: it reads what nats-py has received, and drains when it is asked to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import (
    DEFAULT_SUB_PENDING_BYTES_LIMIT,
    DEFAULT_SUB_PENDING_MSGS_LIMIT,
)
from nats.aio.subscription import (
    Subscription as NativeSubscription,
)

from labkit.brokers.channel import Channel
from labkit.brokers.delivery import Delivery
from labkit.brokers.nats.denials import subscribing
from labkit.brokers.nats.errors import asking
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError, ConnectionLost

if TYPE_CHECKING:
    from labkit.brokers.nats.client import NatsClient

__all__ = ["GOODBYE_SECONDS", "PENDING_BYTES", "PENDING_MESSAGES", "NatsSubscription"]

PENDING_MESSAGES: int = DEFAULT_SUB_PENDING_MSGS_LIMIT
PENDING_BYTES: int = DEFAULT_SUB_PENDING_BYTES_LIMIT
"""What may wait for a subscriber before nats-py drops more: its own limits, 524,288 messages and 128 MiB."""

GOODBYE_SECONDS = 1.0
"""How long it is waited for a server to take note that somebody leaves."""

AnyDelivery = TypeVar("AnyDelivery", bound=Delivery)


class NatsSubscription(Subscription[AnyDelivery]):
    """One subscriber. nats-py subscribes it again by itself after a reconnect.

    It reads nats-py's own queue, as nats-py does for a callback: its public iterator makes a task for every
    message, which halves the rate (nats-py 2.16).
    """

    def __init__(self, channel: Channel, name: str, client: NatsClient, *, filter: str = "") -> None:
        super().__init__(channel, name, filter=filter)
        self.client = client
        self.dropped = 0
        """Messages that nats-py dropped because this subscriber was too slow for them."""
        self._native: NativeSubscription | None = None
        self._is_draining = False
        self._lost: ConnectionLost | None = None

    @property
    def native(self) -> NativeSubscription | None:
        """nats-py's own subscription; None before it is open."""
        return self._native

    async def _listen(
        self,
        subject: str,
        queue_group: str = "",
        pending_messages: int = PENDING_MESSAGES,
        pending_bytes: int = PENDING_BYTES,
    ) -> None:
        """Subscribe; returns when the server has registered it."""
        what = f"NATS did not register {self.name} on {subject!r}"
        self._is_draining, self._lost = False, None
        try:
            act = subscribing(subject)
            async with asking(what, "check the subject, and that the broker runs", self.client.denials, act):
                self._native = await self.client.native.subscribe(
                    subject,
                    queue=queue_group,
                    pending_msgs_limit=pending_messages,
                    pending_bytes_limit=pending_bytes,
                )
                await self.client.reach()
            denied = self.client.denials.take(act)
            if denied is not None:
                raise denied
        except BaseException:
            await self._forget()
            raise

    async def _take(self) -> Msg | None:
        """Wait for what nats-py received next; None if somebody called us. See ``_wake``."""
        native = self._native
        assert native is not None
        queue = native._pending_queue
        message: Msg | None = await queue.get() if queue.empty() else queue.get_nowait()
        queue.task_done()
        if message is not None:
            native._pending_size -= len(message.data)
        elif self._lost is not None:
            raise self._lost
        return message

    def _take_now(self) -> Msg | None:
        """Take what nats-py has received already; None if that is nothing, or a call, left to ``_take``."""
        native = self._native
        if native is None or native._pending_queue.empty():
            return None
        message: Msg | None = native._pending_queue.get_nowait()
        native._pending_queue.task_done()
        if message is None:
            self._wake()
        else:
            native._pending_size -= len(message.data)
        return message

    @property
    def _is_ending(self) -> bool:
        """Whether there will be no more deliveries, once those that are here were taken."""
        return self._is_draining or not self._is_open

    def _wake(self) -> None:
        """Make whoever waits in ``_take`` look again."""
        if self._native is not None:
            with suppress(asyncio.QueueFull):  # then nobody waits
                self._native._pending_queue.put_nowait(None)  # type: ignore[arg-type]  # no message: a call

    def hear_reconnected(self) -> None:
        """Do what a new connection makes necessary; nats-py has subscribed again already."""

    def hear_closed(self, error: ConnectionLost) -> None:
        """Raise this where the subscriber waits: the connection will not come back."""
        self._lost = error
        self._wake()

    async def drain(self) -> None:
        """Take no new messages, and return when the handler is done with those that had arrived.

        What is not done after ``drain_seconds`` of the client is left; ``client.events`` says so. Without a
        handler there is nobody to work on them, and it returns at once.
        """
        worker = self._worker
        if not self._is_open or worker is None or worker.done() or worker is asyncio.current_task():
            return
        await self._stop_coming()
        self._is_draining = True
        self._wake()
        done, _ = await asyncio.wait([worker], timeout=self.client.drain_seconds)
        if not done:
            self.client.reports.note_drain_timed_out(self)

    async def _stop_coming(self) -> None:
        """Tell the server to send no more, and wait until what it had sent is here."""
        native = self._native
        if native is None or not self.client.is_connected:
            return
        with suppress(nats.errors.Error, OSError, BrokerError):
            # Not ``native.unsubscribe``: that drops what is on its way.
            await self.client.native._send_unsubscribe(native._id)
            await self.client.reach(GOODBYE_SECONDS)

    async def _unsubscribe(self) -> None:
        await self._forget()
        self._wake()  # whoever still waits for a delivery learns that there will be none

    async def _forget(self) -> None:
        """Keep nats-py from subscribing again at the next reconnect, and drop what waits."""
        native = self._native
        if native is None:
            return
        with suppress(nats.errors.Error, OSError):  # a connection that is gone took the subscription with it
            await native.unsubscribe()
        while not native._pending_queue.empty():
            native._pending_queue.get_nowait()
            native._pending_queue.task_done()
