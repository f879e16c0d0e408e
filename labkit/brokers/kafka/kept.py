"""A native producer that is replaced when it can work no more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import ProducerClosed  # type: ignore[import-untyped]

from labkit.brokers.kafka.errors import NATIVE_ERRORS
from labkit.errors import PublishRefused

if TYPE_CHECKING:
    from labkit.brokers.kafka.client import KafkaClient

__all__ = ["KeptProducer"]

METADATA_SECONDS = 10.0
END_SECONDS = 0.5
GRACE_SECONDS = 1.0
"""How much later than aiokafka we give up: where it does so by itself, it says why."""


class KeptProducer:
    """Keeps one producer of aiokafka at work.

    Some of them die for good: one with acks=0 whose connection breaks under load, or an idempotent one with a
    message that could not be delivered. The next publish then gets a new one.
    """

    def __init__(self, client: KafkaClient, delivery_timeout: float, **options: Any) -> None:
        self.client = client
        self.delivery_timeout = delivery_timeout
        self.limit = delivery_timeout + GRACE_SECONDS
        """Seconds after which anything is given up: some things aiokafka would try for ever."""
        self._options = options
        self._native: AIOKafkaProducer | None = None
        self._suspect: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._is_closed = False

    @property
    def native(self) -> AIOKafkaProducer | None:
        """The producer of aiokafka at work now; None while there is none that works."""
        return self._native

    async def start(self) -> AIOKafkaProducer:
        """Start a native producer. Raises aiokafka's own errors; may take for ever if nobody answers."""
        native = AIOKafkaProducer(
            **self.client.address.options(),
            request_timeout_ms=int(self.delivery_timeout * 1000),
            metadata_max_age_ms=int(METADATA_SECONDS * 1000),
            **{"client_id": "broker-lab", **self._options},
        )
        try:
            await native.start()
        except BaseException:
            await _end(native)
            raise
        self._native = native
        return native

    async def ready(self) -> AIOKafkaProducer:
        """Return a native producer that works, new if need be. Raises ``PublishRefused`` if there is none."""
        async with self._renewing:
            native = self._native
            if self._is_closed:
                raise ProducerClosed
            if native is not None and self._works(native):
                return native
            if native is not None:
                await self.give_up(native)
            return await self._start_again()

    def _works(self, native: AIOKafkaProducer) -> bool:
        return native is not self._suspect and not native._sender.sender_task.done()

    def suspect(self) -> None:
        """Have the native producer at work now replaced before it is used again."""
        self._suspect = self._native

    async def _start_again(self) -> AIOKafkaProducer:
        try:
            async with asyncio.timeout(self.limit):
                return await self.start()
        except NATIVE_ERRORS as error:
            raise PublishRefused(
                f"Kafka's producer had to be made again, and could not: {error!r}.",
                broker="kafka",
                remedy="check that the broker runs, then publish again",
            ) from error

    async def give_up(self, native: AIOKafkaProducer, error: BaseException | None = None) -> None:
        """Part with a native producer at once. What it has not delivered yet fails with ``error``."""
        is_at_work = native is self._native
        if not is_at_work:
            return  # somebody else has done so
        self._native = None
        native._message_accumulator.fail_all(error or ProducerClosed())
        await _end(native)

    async def close(self) -> None:
        """Deliver what is under way, for as long as ``delivery_timeout`` allows, and close the connection."""
        self._is_closed = True
        native, self._native = self._native, None
        self.client.release_producer(self)
        if native is None:
            return
        try:
            async with asyncio.timeout(self.limit):
                await native.stop()
            _hear_out(native)
        except TimeoutError:
            native._message_accumulator.fail_all(ProducerClosed())
            await _end(native)

    async def vanish(self) -> None:
        """Go as a program that was killed goes: what is under way is not delivered, and nothing is ended."""
        self._is_closed = True
        self.client.release_producer(self)
        if self._native is not None:
            await self.give_up(self._native)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _end(native: AIOKafkaProducer) -> None:
    """End a native producer without delivering anything more: its own ``stop`` may wait for ever."""
    native._closed = True
    sender = native._sender.sender_task
    if sender is not None:
        sender.remove_done_callback(native._sender._fail_all)  # it trips over an idempotent producer's end
    for _ in range(2):  # the first time its requests fail; the second time nothing is waited for any more
        if sender is None or sender.done():
            break
        sender.cancel()
        for connection in native.client._conns.values():
            connection.close()
        await asyncio.wait([sender], timeout=END_SECONDS)
    if sender is not None and sender.done() and not sender.cancelled():
        sender.exception()  # what was under way was failed before, with a reason
    _hear_out(native)
    with suppress(*NATIVE_ERRORS):  # a connection that breaks while it is closed is closed
        async with asyncio.timeout(END_SECONDS):
            await native.client.close()


def _hear_out(native: AIOKafkaProducer) -> None:
    """Look at the errors aiokafka left where nobody waits, or Python reports each as forgotten."""
    left = [batch._drain_waiter for queue in native._message_accumulator._batches.values() for batch in queue]
    if native._txn_manager is not None:
        left.append(native._txn_manager._transaction_waiter)
    for future in left:
        if future is not None and future.done() and not future.cancelled():
            future.exception()
