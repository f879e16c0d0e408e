"""RabbitMQ's queues, which keep messages until a subscriber has acknowledged them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue

from labkit.brokers.rabbitmq.channels.any_queue import AnyQueue
from labkit.brokers.rabbitmq.channels.consuming import Consuming
from labkit.brokers.rabbitmq.channels.delivery import QueueDelivery
from labkit.events import Meter

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.channels.dead_letters import DeadLetterQueue
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Queue", "QueueSubscription"]


class Queue(AnyQueue):
    """A RabbitMQ queue. It keeps messages until a subscriber has acknowledged them."""

    kind = "queue"
    dead_letters: DeadLetterQueue | None = None
    """Where its dead letters go, if it was made with ``dead_letter=True``."""

    def __init__(
        self,
        client: RabbitmqClient,
        name: str,
        arguments: Mapping[str, Any],
        *,
        exclusive: bool = False,
        passive: bool = False,
    ) -> None:
        super().__init__(client, name)
        self.exclusive = exclusive
        self.passive = passive
        self.arguments = dict(arguments)
        self.bindings = []

    @property
    def queue_kind(self) -> str:
        """classic or quorum."""
        kind: str = self.arguments["x-queue-type"]
        return kind

    async def declare_on(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        if not self.passive:
            return await super().declare_on(channel)
        native = await channel.declare_queue(self.name, passive=True)
        assert isinstance(native, AbstractRobustQueue)
        return native

    def subscribe(
        self, name: str, *, prefetch: int = 100, arguments: Mapping[str, Any] | None = None
    ) -> QueueSubscription:
        """Return a subscriber called ``name``, not yet open.

        RabbitMQ hands it up to ``prefetch`` messages (AMQP's QoS) before the first of them is acknowledged.
        Several subscribers of one queue share its messages; for a copy each, give each a queue.
        ``arguments`` are RabbitMQ's own: ``{"x-priority": 10}``.
        """
        return QueueSubscription(self, name, prefetch, arguments or {})


class QueueSubscription(Consuming[QueueDelivery]):
    """One subscriber of a queue."""

    @property
    def settled_meter(self) -> Meter | None:
        """What counts acknowledgements here."""
        return self._settled

    def _deliver(self, native: AbstractIncomingMessage) -> QueueDelivery:
        return QueueDelivery(native, self)

    def _settle(self, delivery: QueueDelivery) -> Awaitable[None]:
        return delivery.ack()
