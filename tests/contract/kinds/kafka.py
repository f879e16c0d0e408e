"""Kafka's kinds of channel, as tests use them."""

from __future__ import annotations

from typing import Any

from labkit.brokers.subscription import Subscription
from tests.contract.kinds.kind import ChannelKind

__all__ = ["KINDS"]


class KafkaTopic(ChannelKind):
    """A topic with a consumer group for each subscriber."""

    broker = "kafka"
    keeps_for_the_absent = True
    keeps_over_a_kill = True

    async def open(self) -> None:
        await super().open()
        await self.client.topic(self.name)

    async def publish(self, number: int) -> None:
        await (await self.client.topic(self.name)).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return (await self.client.topic(self.name)).subscribe(name, group=f"{self.name}.{name}")


KINDS: dict[str, type[ChannelKind]] = {"kafka-topic": KafkaTopic}
