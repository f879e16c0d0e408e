"""Transactions: messages to several topics, and a group's position, all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced  # type: ignore[import-untyped]

from labkit.brokers.channel import Channel, PublishMeters
from labkit.brokers.kafka.errors import NATIVE_ERRORS, Fenced, asking, publish_error
from labkit.brokers.kafka.kept import KeptProducer
from labkit.brokers.kafka.producer import hand_over
from labkit.errors import BrokerError, PublishFailed, PublishInDoubt, PublishRefused
from labkit.message import Message, encode

if TYPE_CHECKING:
    from labkit.brokers.kafka.channels.delivery import TopicDelivery
    from labkit.brokers.kafka.client import KafkaClient

__all__ = ["Transaction", "Transactions"]


class Transactions(KeptProducer):
    """A producer of transactions, known to the broker by a transactional id.

    Make one with ``await client.transactions("shop-tx")``; then ``async with shop.transaction() as tx``, one
    at a time. A second producer with the same id, in whatever program, fences this one off for good.
    """

    def __init__(
        self,
        client: KafkaClient,
        name: str,
        transaction_timeout: float,
        delivery_timeout: float,
        **options: Any,
    ) -> None:
        super().__init__(
            client,
            delivery_timeout,
            transactional_id=name,
            transaction_timeout_ms=round(transaction_timeout * 1000),
            **options,
        )
        self.name = name
        self.is_fenced = False
        """Whether a newer producer with this transactional id made Kafka refuse this one."""
        self.open_transaction: Transaction | None = None
        self._channels: dict[str, Channel] = {}

    def transaction(self, publisher: str = "shop") -> Transaction:
        """Return a transaction, which begins when its block is entered. It commits at the block's end.

        An error inside aborts it. Then nobody who reads with ``read_committed`` ever sees its messages.
        """
        return Transaction(self, publisher)

    async def ready(self) -> AIOKafkaProducer:
        """Return a native producer that works. Raises ``Fenced`` for ever once another took this id over."""
        if self.is_fenced:
            raise self.fenced()
        return await super().ready()

    def fenced(self) -> Fenced:
        """Return what is to be said when Kafka takes no more from this producer."""
        self.is_fenced = True
        return Fenced(
            f"A newer producer took over the transactional id {self.name!r}; this one may write no more.",
            broker="kafka",
            remedy="end one of the two programs; `await client.transactions(...)` takes the id back",
        )

    def meters(self, topic: str, publisher: str) -> PublishMeters | None:
        """Return what counts this publisher's messages to this topic, None if nobody wants to know."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = Channel(self.client, topic)
        return channel.meters(publisher)

    async def close(self) -> None:
        """Abort what is open, so that nobody waits behind it, and close the connection."""
        if self.open_transaction is not None:
            await self.open_transaction.abort()
        await super().close()

    def __repr__(self) -> str:
        return f"<kafka transactions {self.name!r}>"


class Transaction:
    """Messages and positions that become valid together, or not at all.

    A message is counted as confirmed when the commit is, and as refused when the transaction was aborted.
    """

    _native: AIOKafkaProducer

    def __init__(self, owner: Transactions, publisher: str) -> None:
        self.owner = owner
        self.publisher = publisher
        self.is_open = False
        self._answers: list[asyncio.Future[Any]] = []
        self._messages: list[tuple[PublishMeters, Message]] = []
        self._deliveries: list[TopicDelivery] = []

    async def publish(
        self,
        topic: str | Channel,
        value: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Hand over one message. The commit waits for the broker's answer, and fails if it is a bad one.

        Raises ``PublishRefused`` at once where it can be known: no such topic, too large, fenced off.
        """
        self._require_open()
        name = topic.name if isinstance(topic, Channel) else topic
        data = encode(value)
        meters = self.owner.meters(name, self.publisher)
        if meters is not None:
            message = Message(data, name, key=key, headers=headers)
            meters.sent(message)
            self._messages.append((meters, message))
        try:
            async with asyncio.timeout(self.owner.limit):
                answer = await hand_over(self._native, name, data, key, headers, partition, timestamp)
        except NATIVE_ERRORS as error:
            raise self._failure(error, name, was_sent=False) from error
        answer.add_done_callback(_heard)
        self._answers.append(answer)

    async def publish_all(self, topic: str | Channel, values: Iterable[object]) -> None:
        """Hand over one message after another: a batch that counts as a whole."""
        for value in values:
            await self.publish(topic, value)

    async def commit_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Make a group's new position part of the transaction: ``{TopicPartition("orders", 0): 17}``.

        The offset is that of the next message wanted, one more than the last one done.
        """
        self._require_open()
        what = f"Kafka did not take the position of {group} into the transaction"
        try:
            async with asking(what, "check that the broker runs, and that this user may use the group"):
                await self._native.send_offsets_to_transaction(dict(offsets), group)
        except BrokerError as error:
            if _is_fenced(self._native, error.__cause__):
                raise self.owner.fenced() from error
            raise

    async def settle(self, delivery: TopicDelivery) -> None:
        """Make it part of the transaction that this delivery is done: read, work and publish exactly once.

        Raises ``SettleFailed`` if the group was rebalanced since it was delivered.
        """
        delivery.require_current()
        await self.commit_offsets(delivery.group, delivery.position)
        self._deliveries.append(delivery)

    async def abort(self) -> None:
        """Give up what was published in this transaction; the block's end then does nothing more."""
        self._require_open()
        await self._abort()

    async def _begin(self) -> None:
        if self.owner.open_transaction is not None:
            raise BrokerError(
                f"{self.owner.name!r} has a transaction open; a transactional id has one at a time.",
                broker="kafka",
                remedy="end it first, or make another `client.transactions(...)` with another id",
            )
        self.owner.open_transaction = self
        try:
            self._native = await self.owner.ready()
            async with asking("Kafka began no transaction", "check that the broker runs"):
                await self._native.begin_transaction()
        except BaseException:
            self.owner.open_transaction = None
            raise
        self.is_open = True

    async def _commit(self) -> None:
        await self._deliver()
        try:
            async with asyncio.timeout(self.owner.limit):
                await self._native.commit_transaction()
        except BaseException as error:
            await self._end_in_doubt(error)
            raise
        self._close()
        for meters, message in self._messages:
            meters.confirmed(message)
        for delivery in self._deliveries:
            delivery.note_settled()

    async def _deliver(self) -> None:
        """Wait until the broker has every message. aiokafka would commit without those that it refused."""
        try:
            async with asyncio.timeout(self.owner.limit):
                for answer in self._answers:
                    await answer
        except NATIVE_ERRORS as error:
            await self._abort()
            await self.owner.give_up(self._native)  # a message that failed is a gap in its numbers
            raise self._failure(error, "its topics", was_sent=False) from error

    async def _end_in_doubt(self, error: BaseException) -> None:
        """End a transaction whose commit was not answered well, and raise what that means."""
        self._close()
        if _is_fenced(self._native, error):
            self._count_refused()
            raise self.owner.fenced() from error
        for meters, message in self._messages:
            meters.in_doubt(message)
        await self.owner.give_up(self._native)
        if isinstance(error, NATIVE_ERRORS):
            raise PublishInDoubt(
                f"Kafka did not confirm the end of the transaction: {error!r}.",
                broker="kafka",
                remedy="check that the broker runs; done again, everything may be there twice",
            ) from error

    async def _abort(self) -> None:
        """Abort. If Kafka cannot be told, it aborts by itself: no commit was ever sent."""
        self._close()
        self._count_refused()
        if _is_fenced(self._native, None):
            self.owner.is_fenced = True
            return
        try:
            async with asyncio.timeout(self.owner.limit):
                await self._native.abort_transaction()
        except NATIVE_ERRORS as error:
            if _is_fenced(self._native, error):
                self.owner.is_fenced = True
            else:
                await self.owner.give_up(self._native)

    def _close(self) -> None:
        self.is_open = False
        self.owner.open_transaction = None

    def _count_refused(self) -> None:
        for meters, message in self._messages:
            meters.refused(message)

    def _failure(self, error: BaseException, topic: str, *, was_sent: bool) -> PublishFailed:
        if _is_fenced(self._native, error):
            return self.owner.fenced()
        what = f"The transaction failed with a message to {topic}"
        seconds = self.owner.limit
        return publish_error(error, what, was_sent=was_sent, seconds=seconds)

    def _require_open(self) -> None:
        if not self.is_open:
            raise PublishRefused(
                "This transaction is over, or was not begun.",
                broker="kafka",
                remedy="async with transactions.transaction() as tx: ...",
            )

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_open:
            await (self._commit() if error is None else self._abort())


def _heard(answer: asyncio.Future[Any]) -> None:
    """Look at an answer that nobody may wait for: of an aborted transaction, none matters."""
    if not answer.cancelled():
        answer.exception()


def _is_fenced(native: AIOKafkaProducer, error: BaseException | None) -> bool:
    """Return whether Kafka refuses this producer because a newer one has its id."""
    if isinstance(error, (ProducerFenced, InvalidProducerEpoch)):
        return True
    sender = native._sender.sender_task
    return sender.done() and not sender.cancelled() and isinstance(sender.exception(), ProducerFenced)
