"""A broker of somebody else's, with that somebody at hand: so contract tests can have it killed.

The lab sees only the address, as with ``LABKIT_NATS_URL``, and may not end it. The one who runs it may, by
means of its own; here that is another lab.
"""

from __future__ import annotations

from labkit.servers import Fleet, Server
from labkit.servers.external import ExternalServer
from labkit.servers.recipe import recipe_of

__all__ = ["Operated", "OperatedFleet"]


class Operated(ExternalServer):
    """What is done to this broker is done by its operator."""

    def __init__(self, operator: Server) -> None:
        super().__init__(operator.broker, recipe_of(operator.broker), operator.url)
        self._operator = operator
        operator.on_change(self._follow)

    @property
    def version(self) -> str:
        """What the broker tells; what its operator knows, if it tells none."""
        return super().version or self._operator.version

    def _follow(self, operator: Server) -> None:
        self.state = operator.state

    async def kill(self) -> None:
        """Have it ended at once."""
        await self._operator.kill()

    async def pause(self) -> None:
        """Have it frozen."""
        await self._operator.pause()

    async def resume(self) -> None:
        """Have it go on."""
        await self._operator.resume()

    async def restart(self) -> None:
        """Have it started again."""
        await self._operator.restart()


class OperatedFleet(Fleet):
    """A lab whose brokers are all somebody else's."""

    operators: Fleet

    async def start(self, broker: str) -> Server:
        """Return the broker, once its operator has started it and it answers at its address."""
        operator = await self.operators.start(broker)
        if broker not in self.servers:
            self.servers[broker] = Operated(operator)
            await self.servers[broker].start()
        return self.servers[broker]
