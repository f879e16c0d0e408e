"""NATS's kinds of channel, as tests use them."""

from __future__ import annotations

from typing import Any

from labkit.brokers.subscription import Subscription
from tests.contract.kinds.kind import ChannelKind

__all__ = ["KINDS"]


class NatsSubject(ChannelKind):
    broker = "nats"
    confirms = False
    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def publish(self, number: int) -> None:
        await self.client.subject(self.name).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return self.client.subject(self.name).subscribe(name)


class NatsStream(ChannelKind):
    """A stream with a durable pull consumer for each subscriber."""

    broker = "nats"
    keeps_for_the_absent = True
    keeps_over_a_kill = True
    mode = "pull"

    async def open(self) -> None:
        await super().open()
        self.stream = await self.client.stream(self.name)

    async def publish(self, number: int) -> None:
        await self.stream.publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        consumer = await self.stream.consumer(name, mode=self.mode, start="new")
        return consumer.subscribe()


class NatsPushStream(NatsStream):
    """The same with push consumers, to which JetStream sends messages as they come."""

    mode = "push"


KINDS: dict[str, type[ChannelKind]] = {
    "nats-subject": NatsSubject,
    "nats-stream": NatsStream,
    "nats-stream-push": NatsPushStream,
}
