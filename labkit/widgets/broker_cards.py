"""A card for each broker: what it is, where it listens, how it is doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from time import perf_counter
from typing import Any

import traitlets

from labkit.errors import LabError
from labkit.servers.server import Server, State
from labkit.widgets.bundle import script, style
from labkit.widgets.flow_picture import TITLES
from labkit.widgets.live import LiveWidget
from labkit.widgets.pump import Reading

__all__ = ["BrokerCards"]

HEARTBEAT_SECONDS = 1.0


class BrokerCards(LiveWidget):
    """Cards that follow their brokers through starting, running, killed, restarted.

    ``servers`` and ``missing`` are looked at again and again, so they may be empty at first and fill while
    the cards are shown; ``brokers`` then says whose cards to show, and in which order. ``missing`` has for
    each broker without a program the error, or the words, that tell how to get it.
    """

    _esm = script("broker_cards")
    _css = style("tokens", "broker_cards")

    brokers = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        servers: Mapping[str, Server],
        missing: Mapping[str, LabError | str] | None = None,
        brokers: Sequence[str] = (),
    ) -> None:
        self._servers = servers
        self._missing = missing if missing is not None else {}
        self._started: dict[str, float] = {}
        self._said: list[dict[str, Any]] = []
        self._said_at = perf_counter()
        super().__init__(brokers=list(dict.fromkeys([*brokers, *servers, *self._missing])))

    def greet(self) -> None:
        self._said = []

    def tell(self, reading: Reading) -> None:
        cards = [self._card(broker, reading.at) for broker in self.brokers]
        if cards != self._said or reading.at - self._said_at >= HEARTBEAT_SECONDS:
            self.send({"type": "cards", "cards": cards})
            self._said, self._said_at = cards, reading.at

    def _card(self, broker: str, now: float) -> dict[str, Any]:
        if broker in self._missing:
            return {"broker": broker, "state": "missing", "remedy": _remedy(self._missing[broker])}
        server = self._servers.get(broker)
        if server is None or server.state == State.STARTING:
            since = self._started.setdefault(broker, now)
            doing = server.doing if server else ""
            elapsed = round(now - since, 1)
            return {"broker": broker, "state": State.STARTING, "elapsed": elapsed, "doing": doing}
        self._started.pop(broker, None)
        return {
            "broker": broker,
            "state": server.state,
            "version": server.version,
            "how": server.how,
            "url": server.url,
            "ready_in": server.ready_in,
        }

    def fallback(self) -> str:
        names = "".join(f"<li>{escape(TITLES.get(broker, broker))}</li>" for broker in self.brokers)
        return f"<p>Brokers of this lab:</p><ul>{names}</ul>"

    def __repr__(self) -> str:
        return f"<brokers: {', '.join(TITLES.get(broker, broker) for broker in self.brokers)}>"


def _remedy(reason: LabError | str) -> str:
    return reason.remedy if isinstance(reason, LabError) else reason
