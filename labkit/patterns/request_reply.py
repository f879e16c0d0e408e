"""Request and reply: one program asks, another answers, and a deadline ends the wait. Four recipes.

The story is an online shop. Its checkout asks the stock service how much tea is left and reserves some, and
asks all suppliers for a price.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Self

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.kafka.channels.topic import Topic, TopicDelivery
from labkit.brokers.kafka.client import KafkaClient
from labkit.brokers.nats.channels.subject import SubjectDelivery
from labkit.brokers.nats.client import NatsClient
from labkit.brokers.rabbitmq.channels.delivery import QueueDelivery
from labkit.brokers.rabbitmq.client import RabbitmqClient
from labkit.brokers.redis.client import RedisClient
from labkit.brokers.subscription import Subscription
from labkit.errors import NoResponders
from labkit.patterns.replies import Mailbox, RequestReply

__all__ = [
    "RECIPES",
    "KafkaRequestReply",
    "NatsRequestReply",
    "RabbitmqRequestReply",
    "RedisRequestReply",
    "open_request_reply",
]

NOBODY = "503"
"""The status of the message that a NATS server itself sends to an inbox when nobody heard the question."""

REPLY_SECONDS = 60
"""How long Redis keeps the replies to somebody who went away."""

PARTITIONS = 4
"""How many responders can share the requests in Kafka: each partition has one reader."""


class NatsRequestReply(RequestReply[NatsClient]):
    """NATS: a request names an inbox to reply to. If nobody is subscribed, the server itself says so."""

    native = "request, inbox, queue group, no-responders status"
    built = ""

    @property
    def late(self) -> int:
        """Late replies to anybody who asks on this connection: they share an inbox."""
        return self.client.replies.late

    @property
    def replies_name(self) -> str:
        return self.service  # nats-py has one inbox for all; a reply is counted at the question's subject

    async def channel(self) -> Channel:
        return self.client.subject(self.service)

    async def _listen(self, name: str) -> Subscription[Any]:
        return self.client.subject(self.service).subscribe(name, queue_group=self.service)

    async def _listen_too(self, name: str) -> Subscription[Any]:
        return self.client.subject(f"{self.service}.all").subscribe(name)

    async def _ask(self, request: object, within: float) -> Mapping[str, Any]:
        subject = self.client.subject(self.service)
        answer = await subject.request(request, timeout=within, publisher=self.asker)
        return answer.value  # type: ignore[no-any-return]

    async def _ask_all(self, request: object, within: float) -> AsyncGenerator[Mapping[str, Any], None]:
        everybody = self.client.subject(f"{self.service}.all")
        inbox = self.client.subject(self.client.native.new_inbox())  # one question's own: no late replies
        async with inbox.subscribe(self.asker) as replies:
            await everybody.publish(request, reply_to=inbox.name, publisher=self.asker)
            async for reply in replies:
                if (reply.message.headers or {}).get("Status") == NOBODY:
                    raise NoResponders(
                        f"Nobody is subscribed to {everybody.name}.",
                        broker="nats",
                        remedy="start who replies",
                    )
                yield reply.value

    async def reply(self, delivery: SubjectDelivery, reply: Mapping[str, Any]) -> None:
        await delivery.reply(reply)


class RabbitmqRequestReply(RequestReply[RabbitmqClient]):
    """RabbitMQ: requests wait in a queue until they expire; replies go straight to the connection that asks.

    If there is no such queue, the request comes back at once. A queue that nobody reads is silent.
    """

    native = "queue, direct reply-to, correlation id, mandatory, expiration"
    built = ""

    async def open(self) -> Self:
        self._caller = await self.client.caller(self.asker, reply="direct")
        return self

    @property
    def late(self) -> int:
        return self._caller.late

    async def channel(self) -> Channel:
        return await self.client.queue(self.service)

    async def _listen(self, name: str) -> Subscription[Any]:
        queue = await self.client.queue(self.service)
        return queue.subscribe(name, prefetch=1)  # what waits stays in the queue, where it can expire

    async def _listen_too(self, name: str) -> Subscription[Any]:
        everybody = await self.client.exchange(f"{self.service}.all", "fanout")
        queue = await self.client.queue(f"{everybody.name}.{name}", bind=(everybody, ""), exclusive=True)
        return queue.subscribe(name, prefetch=1)

    async def _ask(self, request: object, within: float) -> Mapping[str, Any]:
        answer = await self._caller.call(self.service, request, timeout=within)
        return answer.value  # type: ignore[no-any-return]

    async def _ask_all(self, request: object, within: float) -> AsyncGenerator[Mapping[str, Any], None]:
        everybody = await self.client.exchange(f"{self.service}.all", "fanout")
        async with aclosing(self._caller.call_all(everybody, request, expiration=within)) as replies:
            async for reply in replies:
                yield reply.value

    async def reply(self, delivery: QueueDelivery, reply: Mapping[str, Any]) -> None:
        await delivery.reply(reply, persistent=False)


class RedisRequestReply(RequestReply[RedisClient]):
    """Redis: a list of requests, and a list of replies for each asker. Requests say whose, and until when.

    A list has no headers, so all of that is in the message. Pub/Sub asks all, and says how many heard it.
    """

    native = "list with BRPOP, EXPIRE; Pub/Sub to ask all"
    built = "reply list, correlation id, deadline"

    async def open(self) -> Self:
        self._mailbox = Mailbox()
        hearing = self.client.list(self.replies_name).subscribe(self.asker)
        await hearing.run(lambda reply: self._mailbox.take(**reply.value)).open()
        return self

    @property
    def late(self) -> int:
        return self._mailbox.late

    @property
    def replies_name(self) -> str:
        return f"{self.service}.replies.{self.asker}"

    async def channel(self) -> Channel:
        return self.client.list(self.service)

    async def _listen(self, name: str) -> Subscription[Any]:
        return self.client.list(self.service).subscribe(name)

    async def _listen_too(self, name: str) -> Subscription[Any]:
        return self.client.channel(f"{self.service}.all").subscribe(name)

    async def _ask(self, request: object, within: float) -> Mapping[str, Any]:
        with self._mailbox.question() as (number, replies):
            message = self._envelope(number, request, within)
            await self.client.list(self.service).push(message, publisher=self.asker)
            return await replies.get()

    async def _ask_all(self, request: object, within: float) -> AsyncGenerator[Mapping[str, Any], None]:
        everybody = self.client.channel(f"{self.service}.all")
        with self._mailbox.question() as (number, replies):
            if not await everybody.publish(self._envelope(number, request, within), publisher=self.asker):
                raise nobody_heard(everybody)
            while True:
                yield await replies.get()

    def _envelope(self, number: str, request: object, within: float) -> dict[str, Any]:
        deadline = time.time() + within  # other machines compare it with their own clocks
        return {"id": number, "reply_to": self.replies_name, "deadline": deadline, "request": request}

    def is_expired(self, delivery: Any) -> bool:
        return time.time() > float(delivery.value["deadline"])

    def request_in(self, delivery: Any) -> Any:
        return delivery.value["request"]

    async def reply(self, delivery: Any, reply: Mapping[str, Any]) -> None:
        asked = delivery.value
        replies = self.client.list(asked["reply_to"])
        await replies.push({"number": asked["id"], "reply": reply}, publisher=reply["by"])
        # An asker who went away never takes it; one who is there mostly has by now, and the list with it.
        await self.client.ask(f"Redis set no end to {replies.name}", "EXPIRE", replies.name, REPLY_SECONDS)


class KafkaRequestReply(RequestReply[KafkaClient]):
    """Kafka: a topic of requests, and a topic of replies for each asker. Headers say which, and until when.

    The log keeps every request, answered or not: a responder that comes later skips those whose time is over.
    """

    native = "topic, consumer group, headers"
    built = "reply topic, correlation id, deadline"

    async def open(self) -> Self:
        self._mailbox = Mailbox()
        await self.channel()
        await self._everybody()
        topic = await self.client.topic(self.replies_name)
        hearing = topic.subscribe(self.asker, group=self.replies_name)
        await hearing.run(self._hear).open()
        return self

    def _hear(self, delivery: TopicDelivery) -> None:
        headers = delivery.message.headers or {}
        self._mailbox.take(headers["correlation-id"], delivery.value)

    @property
    def late(self) -> int:
        return self._mailbox.late

    @property
    def replies_name(self) -> str:
        return f"{self.service}.replies.{self.asker}"

    async def channel(self) -> Topic:
        return await self.client.topic(self.service, partitions=PARTITIONS)

    async def _everybody(self) -> Topic:
        return await self.client.topic(f"{self.service}.all")

    async def _listen(self, name: str) -> Subscription[Any]:
        return (await self.channel()).subscribe(name, group=self.service)

    async def _listen_too(self, name: str) -> Subscription[Any]:
        return (await self._everybody()).subscribe(name, group=f"{self.service}.all.{name}")

    async def _ask(self, request: object, within: float) -> Mapping[str, Any]:
        with self._mailbox.question() as (number, replies):
            await self._publish(await self.channel(), request, number, within)
            return await replies.get()

    async def _ask_all(self, request: object, within: float) -> AsyncGenerator[Mapping[str, Any], None]:
        with self._mailbox.question() as (number, replies):
            await self._publish(await self._everybody(), request, number, within)
            while True:
                yield await replies.get()

    async def _publish(self, topic: Topic, request: object, number: str, within: float) -> None:
        headers = {
            "correlation-id": number,
            "reply-to": self.replies_name,
            "deadline": f"{time.time() + within}",  # other machines compare it with their own clocks
        }
        await topic.publish(request, headers=headers, publisher=self.asker)

    def is_expired(self, delivery: TopicDelivery) -> bool:
        return time.time() > float((delivery.message.headers or {})["deadline"])

    async def reply(self, delivery: TopicDelivery, reply: Mapping[str, Any]) -> None:
        headers = delivery.message.headers or {}
        topic = await self.client.topic(headers["reply-to"])
        correlation = {"correlation-id": headers["correlation-id"]}
        await topic.publish(reply, headers=correlation, publisher=reply["by"])


RECIPES: Mapping[str, type[RequestReply[Any]]] = {
    "nats": NatsRequestReply,
    "rabbitmq": RabbitmqRequestReply,
    "redis": RedisRequestReply,
    "kafka": KafkaRequestReply,
}


def nobody_heard(channel: Channel) -> NoResponders:
    """Return the error that says so."""
    what = f"Nobody is subscribed to {channel.name}."
    return NoResponders(what, broker=channel.broker, remedy="start who replies: nobody has worked on it")


async def open_request_reply(
    clients: Mapping[str, BrokerClient], service: str = "stock", asker: str = "checkout"
) -> dict[str, RequestReply[Any]]:
    """Return a service on each of these brokers, ready to be asked: ``await open_...(lab.clients)``."""
    recipes = {broker: recipe for broker, recipe in RECIPES.items() if broker in clients}
    services = [recipe(clients[broker], service, asker) for broker, recipe in recipes.items()]
    opened = await asyncio.gather(*(one.open() for one in services))
    return dict(zip(recipes, opened, strict=True))
