"""Redis's kinds of channel, as tests use them."""

from __future__ import annotations

from typing import Any

from labkit.brokers.subscription import Subscription
from tests.contract.kinds.kind import ChannelKind

__all__ = ["KINDS"]


class RedisChannel(ChannelKind):
    broker = "redis"
    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def publish(self, number: int) -> None:
        await self.client.channel(self.name).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        return self.client.channel(self.name).subscribe(name)


class RedisStream(ChannelKind):
    """A stream with a consumer group for each subscriber."""

    broker = "redis"
    keeps_for_the_absent = True
    keeps_over_a_kill = True

    async def publish(self, number: int) -> None:
        await self.client.stream(self.name).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        group = await self.client.stream(self.name).group(name)
        subscription: Subscription[Any] = group.subscribe(name)
        return subscription


KINDS: dict[str, type[ChannelKind]] = {"redis-channel": RedisChannel, "redis-stream": RedisStream}
