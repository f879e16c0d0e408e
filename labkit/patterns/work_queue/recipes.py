"""The work queue on four brokers, side by side."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any, Self

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.message import decode
from labkit.patterns.work_queue.queue import Depth, WorkQueue
from labkit.patterns.work_queue.worker import Job
from labkit.topology import Lane

__all__ = ["RECIPES", "KafkaWork", "NatsWork", "RabbitmqWork", "RedisWork", "lanes_of", "open_queues"]

RETRY_SECONDS = 0.05
"""How long NATS is asked to hold a failed job back. Without it a failed job comes before all that wait."""

LONG_IDLE = 10**9
"""Milliseconds. A Redis entry that is said to be idle for so long is claimed by whoever looks next."""


class NatsWork(WorkQueue[NatsClient]):
    """NATS: the stream forgets what is acknowledged; the workers share one durable consumer, and ask it."""

    native = "work-queue stream, durable pull consumer, ack_wait, in_progress, nak, max_deliver"
    built = "dead letters: a stream that keeps the server's advisories"

    async def open(self) -> Self:
        self.stream = await self.client.stream(self.name, retention="workqueue")
        self.letters = await self.stream.dead_letters()  # before the consumer: advisories are said once
        self.consumer = await self.stream.consumer(
            "workers", ack_wait=self.patience, max_deliver=self.attempts or -1
        )
        return self

    @property
    def channel(self) -> Channel:
        return self.stream

    async def submit(self, job: Job) -> None:
        await self.stream.publish(job)

    def listen(self, name: str, prefetch: int) -> Subscription[Any]:
        return self.consumer.subscribe(name, batch=prefetch)

    async def keep(self, delivery: Any) -> None:
        await delivery.in_progress()  # ack_wait begins anew

    async def give_back(self, delivery: Any) -> None:
        await delivery.nak(delay=RETRY_SECONDS)

    async def crash(self, subscription: Any) -> None:
        await subscription.vanish()

    async def depth(self) -> Depth:
        info = await self.consumer.info()
        return Depth(info.num_pending or 0, info.num_ack_pending or 0)

    async def aside(self) -> int:
        return await self.letters.depth()

    async def dead_letters(self) -> list[Job]:
        async with self.letters.kept.replay() as advisories:
            numbers = [json.loads(one.data)["stream_seq"] async for one in advisories]
        return [(await self.stream.get(number)).value for number in numbers]  # it left them in the stream


class RabbitmqWork(WorkQueue[RabbitmqClient]):
    """RabbitMQ: the queue hands each worker as many jobs as its prefetch, and takes a dead one's back."""

    native = "quorum queue, prefetch, manual ack, reject, delivery limit, dead-letter exchange"
    built = ""

    async def open(self) -> Self:
        self.letters = await self.client.dead_letters(f"{self.name}.dlq")
        self.queue = await self.client.queue(
            self.name,
            kind="quorum",
            dead_letter=("", self.letters.name),
            # It limits how often a job comes back, after the first time.
            delivery_limit=-1 if self.attempts is None else self.attempts - 1,
        )
        return self

    @property
    def channel(self) -> Channel:
        return self.queue

    async def submit(self, job: Job) -> None:
        await self.queue.publish(job)

    def listen(self, name: str, prefetch: int) -> Subscription[Any]:
        return self.queue.subscribe(name, prefetch=prefetch)

    async def give_back(self, delivery: Any) -> None:
        await delivery.reject(requeue=True)  # not nack: from RabbitMQ 4.3 on that is not counted

    async def crash(self, subscription: Any) -> None:
        await subscription.vanish()

    async def depth(self) -> Depth:
        return Depth(await self.queue.depth(), None)  # AMQP tells what is ready, and no more

    async def aside(self) -> int:
        return await self.letters.depth()

    async def dead_letters(self) -> list[Job]:
        channel = await self.client.plain_channel()
        found: list[Job] = []
        while (letter := await channel.basic_get(self.letters.name)).delivery_tag is not None:
            found.append(decode(letter.body))
        await channel.close()  # nothing was acknowledged, so all go back
        return found


class RedisWork(WorkQueue[RedisClient]):
    """Redis: a group hands out entries, and remembers who has which; to get them back is the workers' job."""

    native = "stream, consumer group, XACK, XCLAIM, XAUTOCLAIM, delivery count"
    built = "workers claim what a dead one had; they say that they live, and count attempts"

    async def open(self) -> Self:
        self.stream = self.client.stream(self.name)
        self.group = await self.stream.group("workers", start="first")
        return self

    @property
    def channel(self) -> Channel:
        return self.stream

    async def submit(self, job: Job) -> None:
        await self.stream.add(job)

    def listen(self, name: str, prefetch: int) -> Subscription[Any]:
        return self.group.subscribe(name, batch=prefetch, claim_idle=self.patience)

    async def accept(self, delivery: Any) -> bool:
        if self.attempts is None or (delivery.attempt or 1) <= self.attempts:
            return True
        await self.group.put_aside(delivery)  # its workers died over it
        return False

    async def keep(self, delivery: Any) -> None:
        await self._claim(delivery, "IDLE", 0)

    async def give_back(self, delivery: Any) -> None:
        if self.attempts is not None and (delivery.attempt or 1) >= self.attempts:
            await self.group.put_aside(delivery)
        else:
            await self._claim(delivery, "IDLE", LONG_IDLE)  # so that the next who looks claims it
            await delivery.give_back()

    async def _claim(self, delivery: Any, *how: Any) -> None:
        """Set how long an entry has been idle; JUSTID does not count this as an attempt."""
        names = self.stream.name, self.group.name, delivery.worker
        await self.group.ask("tell how idle a job is in", "XCLAIM", *names, 0, delivery.id, *how, "JUSTID")

    async def crash(self, subscription: Any) -> None:
        await subscription.abandon()

    async def depth(self) -> Depth:
        info = await self.group.info()
        return Depth(info.lag, info.pending)

    async def aside(self) -> int:
        return await self.client.stream(self.group.dead_letters).depth()

    async def dead_letters(self) -> list[Job]:
        return [letter.value async for letter in self.client.stream(self.group.dead_letters).replay()]


class KafkaWork(WorkQueue[KafkaClient]):
    """Kafka: each partition has one worker, which moves the group's place in it past what is done."""

    native = "topic with a partition for each worker, consumer group, manual commit, session time-out"
    built = "attempts counted by the worker, a dead-letter topic"
    no_fair_dispatch = (
        "A partition has one reader, so its jobs wait for that one, however slow. Kafka 4.2 has share groups,"
        " which hand out single jobs; aiokafka does not know them."
    )

    async def open(self) -> Self:
        self.topic = await self.client.topic(self.name, partitions=self.most_workers)
        self.letters = await self.topic.dead_letters()
        self._turns = itertools.cycle(range(self.most_workers))
        return self

    @property
    def channel(self) -> Channel:
        return self.topic

    async def submit(self, job: Job) -> None:
        await self.topic.publish(job, partition=next(self._turns))  # in turn, so that all get as many

    def listen(self, name: str, prefetch: int) -> Subscription[Any]:
        return self.topic.subscribe(
            name,
            group=f"{self.name}-workers",
            start="earliest",
            commit="manual",
            session_timeout=self.patience,
            dead_letters=None if self.attempts is None else self.letters,
            attempts=self.attempts or 1,
        )

    async def give_back(self, delivery: Any) -> None:
        await delivery.give_back()  # the worker goes back there, and to all that follow it

    async def crash(self, subscription: Any) -> None:
        await subscription.vanish()

    async def depth(self) -> Depth:
        ends = await self.topic.offsets()
        done = await self.client.admin.group_offsets(f"{self.name}-workers")
        places = {place.partition: offset for place, offset in done.items()}
        return Depth(sum(span.end - places.get(one, 0) for one, span in ends.items()), None)

    async def aside(self) -> int:
        return await self.letters.end_offset()

    async def dead_letters(self) -> list[Job]:
        count = await self.aside()
        # A group that commits nothing begins at the beginning each time.
        reader = self.letters.subscribe(f"{self.name}-undertaker", start="earliest", commit="manual")
        async with reader as letters:
            return [(await anext(letters)).value for _ in range(count)]


RECIPES: Mapping[str, type[WorkQueue[Any]]] = {
    "nats": NatsWork,
    "rabbitmq": RabbitmqWork,
    "redis": RedisWork,
    "kafka": KafkaWork,
}


async def open_queues(
    clients: Mapping[str, BrokerClient], name: str = "invoices", **options: Any
) -> dict[str, WorkQueue[Any]]:
    """Return a work queue of this name on each of these brokers: ``await open_queues(lab.clients)``.

    ``options`` are ``WorkQueue``'s: ``attempts``, ``patience`` and ``most_workers``.
    """
    return {
        broker: await recipe(clients[broker], name, **options).open()
        for broker, recipe in RECIPES.items()
        if broker in clients
    }


async def lanes_of(queues: Mapping[str, WorkQueue[Any]]) -> list[Lane]:
    """Return a row for each broker, for the live picture: ``lab.flow(*await lanes_of(queues))``."""
    return [await queue.lane() for queue in queues.values()]
