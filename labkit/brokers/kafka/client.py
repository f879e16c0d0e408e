"""A connection to Kafka.

One producer that waits for the broker to have each message (acks=all), and more with other settings where
somebody asks for them. While the broker is away, ``publish`` waits for it, up to 5 seconds, then raises; a
message that was sent but not answered may be in the log all the same. The client's own producer is not
idempotent on purpose: that one numbers its messages, so one that fails costs all that are under way.

What Kafka has and Python's aiokafka has not: share groups (queues), and the new rebalance protocol (KIP-848).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS, CONNECT_SECONDS, BrokerClient, keep_log_quiet
from labkit.brokers.kafka.address import Address
from labkit.brokers.kafka.admin import Admin
from labkit.brokers.kafka.channels.topic import Topic
from labkit.brokers.kafka.errors import NATIVE_ERRORS, asking, connect_error
from labkit.brokers.kafka.kept import KeptProducer
from labkit.brokers.kafka.offsets import Onlooker
from labkit.brokers.kafka.producer import Acks, Compression, Producer
from labkit.brokers.kafka.transactions import Transactions
from labkit.errors import Conflict
from labkit.events import Observer

__all__ = ["KafkaClient"]


class KafkaClient(BrokerClient):
    """One program's connections to a Kafka broker.

    Its URL is ``kafka://host:port``, or ``kafka://user:password@host:port`` to log in with SASL;
    ``mechanism`` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. ``tls`` encrypts. ``open`` raises ``LoginRefused``
    for a wrong password.
    """

    broker = "kafka"

    def __init__(
        self,
        url: str,
        observer: Observer | None = None,
        *,
        mechanism: str = "PLAIN",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(url, observer)
        self.address = Address.parse(url, mechanism=mechanism, tls=tls)
        self.admin = Admin(self.address)
        self.onlooker = Onlooker(self.address)
        self._producer: Producer | None = None
        self._others: dict[KeptProducer, None] = {}
        self._topics: dict[str, Topic] = {}

    @property
    def own_producer(self) -> Producer:
        """The producer behind ``topic.publish``. Raises ``ChannelClosed`` before the client was opened."""
        if self._producer is None:
            self.require_open()
        assert self._producer is not None
        return self._producer

    @property
    def native(self) -> AIOKafkaProducer | None:
        """The producer of aiokafka. Raises ``ChannelClosed`` before it was opened."""
        return self.own_producer.native

    async def topic(
        self, name: str, *, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> Topic:
        """Create a topic, or find it, and return it. ``configs`` are Kafka's own (``retention.ms``).

        Raises ``Conflict`` if it exists with other partitions, ``NotAllowed`` if this user may not create it,
        and ``BrokerError`` if Kafka does not.
        """
        known = self._topics.get(name)
        if known is not None and known.partitions == partitions:
            return known
        self.require_open()
        await self.admin.create_topic(name, partitions, configs)
        found = await self.partitions_of(name)
        if found != partitions:
            raise Conflict(
                f"The topic {name!r} exists with {found} partitions, not {partitions}.",
                broker=self.broker,
                remedy=f"ask for {found} partitions, or choose another name",
            )
        return self._keep(name, partitions)

    async def find_topic(self, name: str) -> Topic:
        """Return a topic that exists, with as many partitions as it has. Raises ``NotFound``."""
        return self._keep(name, await self.partitions_of(name))

    async def partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has now. Raises ``NotFound``."""
        async with asking(f"Kafka did not tell the partitions of {topic!r}", "check the topic's name"):
            native = await self.own_producer.ready()
            await native.client.force_metadata_update()  # what it remembers may be ten seconds old
            return len(await native.partitions_for(topic))

    async def add_partitions(self, name: str, total: int) -> Topic:
        """Give a topic more partitions, ``total`` in the end, and return it as it is then."""
        await self.admin.add_partitions(name, total)
        return self._keep(name, total)

    async def delete_topic(self, name: str) -> None:
        """Remove a topic with everything in it. Raises ``NotFound``."""
        self._topics.pop(name, None)
        await self.admin.delete_topic(name)

    async def producer(
        self,
        *,
        acks: Acks = "all",
        linger: float = 0.0,
        compression: Compression | None = None,
        idempotent: bool = False,
        delivery_timeout: float = CALL_SECONDS,
        batch_bytes: int = 16384,
        native_options: Mapping[str, Any] | None = None,
    ) -> Producer:
        """Return one more producer, with its own connection. It is closed with the client.

        ``linger`` seconds it waits for more messages before it sends a batch of up to ``batch_bytes``.
        ``idempotent`` lets the broker drop what the library sends a second time. ``delivery_timeout`` is how
        long it tries before a message fails. ``native_options`` go to aiokafka's producer as they are.
        """
        producer = Producer(
            self,
            acks,
            idempotent=idempotent,
            delivery_timeout=delivery_timeout,
            linger_ms=round(linger * 1000),
            compression_type=compression,
            max_batch_size=batch_bytes,
            **(native_options or {}),
        )
        await self._begin(producer, "Kafka did not take on a producer")
        return producer

    async def transactions(
        self,
        name: str,
        *,
        transaction_timeout: float = 60.0,
        delivery_timeout: float = CALL_SECONDS,
        native_options: Mapping[str, Any] | None = None,
    ) -> Transactions:
        """Return a producer of transactions. Whoever used this transactional id before is fenced off.

        ``transaction_timeout`` is when the broker aborts a transaction whose producer went away; until then
        read_committed readers wait behind it.
        """
        transactions = Transactions(
            self, name, transaction_timeout, delivery_timeout, **(native_options or {})
        )
        await self._begin(transactions, f"Kafka did not take on the transactional id {name!r}")
        return transactions

    async def _begin(self, producer: KeptProducer, what: str) -> None:
        self.require_open()
        async with asking(what, "check that the broker runs, and that this user may do that"):
            await producer.start()
        self._others[producer] = None

    def release_producer(self, producer: KeptProducer) -> None:
        """Forget a producer that was closed."""
        self._others.pop(producer, None)

    def _keep(self, name: str, partitions: int) -> Topic:
        topic = self._topics.setdefault(name, Topic(self, name, partitions))
        topic.partitions = partitions
        return topic

    async def _connect(self) -> None:
        keep_log_quiet("aiokafka")
        producer = Producer(self, "all", idempotent=False, delivery_timeout=CALL_SECONDS)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
        except (*NATIVE_ERRORS, ValueError) as error:
            failed = await connect_error(self.address, error)
            raise failed from failed.__cause__
        self._producer = producer

    async def _disconnect(self) -> None:
        producers = [*self._others, self.own_producer]
        self._producer = None
        for producer in producers:
            with suppress(*NATIVE_ERRORS):  # what is not sent by then is given up; its publisher was told
                await producer.close()
        await self.onlooker.close()
