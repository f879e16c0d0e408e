"""RabbitMQ's exchanges, which route and keep nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Unpack

from labkit.brokers.pipeline import WINDOW
from labkit.brokers.rabbitmq.channels.pipeline import ExchangePipeline
from labkit.brokers.rabbitmq.channels.properties import Properties
from labkit.brokers.rabbitmq.channels.publishing import PublishingChannel
from labkit.brokers.rabbitmq.errors import ask

if TYPE_CHECKING:
    from labkit.brokers.rabbitmq.client import RabbitmqClient

__all__ = ["Exchange", "ExchangeKind"]

ExchangeKind = Literal["direct", "topic", "fanout", "headers"]


class Exchange(PublishingChannel):
    """A durable RabbitMQ exchange: it keeps nothing; each queue whose binding fits gets a copy."""

    kind = "exchange"

    def __init__(self, client: RabbitmqClient, name: str, kind: ExchangeKind) -> None:
        super().__init__(client, name)
        self.exchange_kind = kind

    async def declare(self) -> None:
        """Make the exchange, or find it as it is."""
        what = f"RabbitMQ did not declare the {self.exchange_kind} exchange {self.name!r}"
        await ask(self._declare(), what, "choose another name if it exists as another kind")

    async def _declare(self) -> None:
        channel = await self._open()
        try:
            await channel.declare_exchange(self.name, self.exchange_kind, durable=True)
        except BaseException:
            await channel.close()
            raise

    async def publish(
        self,
        value: object,
        routing_key: str = "",
        *,
        mandatory: bool = False,
        publisher: str = "shop",
        **properties: Unpack[Properties],
    ) -> bool | None:
        """Send one message and wait for RabbitMQ's confirm.

        With ``mandatory`` the broker sends back what no queue wanted: returns whether one did, and
        counts the message as unheard if not. Without, it confirms and drops such a message: returns None.
        ``properties`` are those of ``Properties``: ``headers={...}, persistent=False, expiration=2.5``.

        Raises ``PublishRefused`` if RabbitMQ certainly does not have the message: a queue is full and said
        so, the message is too large, or the connection is lost. Raises ``PublishInDoubt`` if the connection
        breaks or no confirm comes within 5 seconds; then nobody knows whether the broker has it.
        """
        return await self._publish(self.name, routing_key, value, mandatory, publisher, properties)

    async def publish_unconfirmed(
        self,
        value: object,
        routing_key: str = "",
        *,
        publisher: str = "shop",
        **properties: Unpack[Properties],
    ) -> None:
        """Write one message to the socket and ask for no confirm: nobody learns what became of it.

        Raises ``PublishRefused`` if there is no connection to write to.
        """
        await self._fire(self.name, routing_key, value, publisher, properties)

    def pipeline(self, *, window: int = WINDOW, publisher: str = "shop") -> ExchangePipeline:
        """Return a way to publish many: ``async with exchange.pipeline() as pipeline: ...``."""
        return ExchangePipeline(self, publisher, window)

    async def delete(self) -> None:
        """Remove the exchange and its bindings from the broker."""
        self.client.forget(self)
        await ask(self._delete(), f"RabbitMQ did not delete the exchange {self.name!r}", "try again")

    async def _delete(self) -> None:
        await self._channel.exchange_delete(self.name)
        await self._channel.close()

    def _facts(self) -> dict[str, Any]:
        return {"kind": self.exchange_kind}
