"""RabbitMQ's kinds of channel, as tests use them."""

from __future__ import annotations

from typing import Any

from labkit.brokers.subscription import Subscription
from tests.contract.kinds.kind import ChannelKind

__all__ = ["KINDS"]


class RabbitmqExchange(ChannelKind):
    """An exchange with a durable queue for each subscriber."""

    broker = "rabbitmq"
    keeps_for_the_absent = True
    keeps_over_a_kill = True

    async def publish(self, number: int) -> None:
        exchange = await self.client.exchange(self.name, "fanout")
        await exchange.publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        exchange = await self.client.exchange(self.name, "fanout")
        queue = await self.client.queue(f"{self.name}.{name}", bind=(exchange, ""))
        return queue.subscribe(name)


class RabbitmqQuorum(RabbitmqExchange):
    """An exchange with a quorum queue for each subscriber."""

    async def subscription(self, name: str) -> Subscription[Any]:
        exchange = await self.client.exchange(self.name, "fanout")
        queue = await self.client.queue(f"{self.name}.{name}", bind=(exchange, ""), kind="quorum")
        await queue.written()
        return queue.subscribe(name)


class RabbitmqExclusive(RabbitmqExchange):
    """An exchange with an exclusive queue for each subscriber, which goes when it leaves."""

    keeps_for_the_absent = False
    keeps_over_a_kill = False

    async def subscription(self, name: str) -> Subscription[Any]:
        exchange = await self.client.exchange(self.name, "fanout")
        queue = await self.client.queue(f"{self.name}.{name}", bind=(exchange, ""), exclusive=True)
        return queue.subscribe(name)


class RabbitmqStream(ChannelKind):
    """A stream that each subscriber reads from where it came."""

    broker = "rabbitmq"
    keeps_for_the_absent = False
    keeps_over_a_kill = True

    async def publish(self, number: int) -> None:
        await (await self.client.stream(self.name)).publish(number)

    async def subscription(self, name: str) -> Subscription[Any]:
        stream = await self.client.stream(self.name)
        await stream.written()
        return stream.subscribe(name, start="next")


KINDS: dict[str, type[ChannelKind]] = {
    "rabbitmq-exchange": RabbitmqExchange,
    "rabbitmq-quorum": RabbitmqQuorum,
    "rabbitmq-exclusive": RabbitmqExclusive,
    "rabbitmq-stream": RabbitmqStream,
}
