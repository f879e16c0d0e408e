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


KINDS: dict[str, type[ChannelKind]] = {"redis-channel": RedisChannel}
