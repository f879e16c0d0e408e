"""What each kind of channel promises, as a table whose cells can be tried on the running brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import traitlets

from labkit.brokers import TITLES
from labkit.brokers.experiment import Experiments
from labkit.errors import LabError
from labkit.guarantees import QUESTIONS, Aspect
from labkit.servers.server import Server
from labkit.widgets.bundle import script, style
from labkit.widgets.guarantees_snapshot import Tally, guarantees_html, guarantees_text, rows_of_results
from labkit.widgets.live import LiveWidget
from labkit.widgets.pump import Reading
from labkit.widgets.trials import Spot, Trials

__all__ = ["GuaranteesTable"]

HEARTBEAT_SECONDS = 1.0


class GuaranteesTable(LiveWidget):
    """A row for each kind of channel, a column for each question; a click runs the experiment behind a cell.

    ``missing`` has for each broker without a program the error, or the words, that tell how to get it; its
    rows are shown, and cannot be tried.
    """

    _esm = script("guarantees_table")
    _css = style("tokens", "guarantees_table")

    aspects: Any = traitlets.List().tag(sync=True)
    groups: Any = traitlets.List().tag(sync=True)

    def __init__(
        self,
        kinds: Sequence[Experiments[Any]],
        servers: Mapping[str, Server],
        missing: Mapping[str, LabError | str] | None = None,
    ) -> None:
        self._trials = Trials(kinds, servers)
        self._servers = servers
        self._missing = missing if missing is not None else {}
        self._said: dict[str, Any] = {}
        self._said_at = perf_counter()
        super().__init__(
            aspects=[{"name": aspect, "question": QUESTIONS[aspect]} for aspect in Aspect],
            groups=[self._group(broker) for broker in dict.fromkeys(kind.broker for kind in kinds)],
        )

    def _group(self, broker: str) -> dict[str, Any]:
        """Return what a page knows of one broker from the start."""
        reason = self._missing.get(broker, "")
        kinds = enumerate(self._trials.kinds)
        return {
            "broker": broker,
            "version": self._servers[broker].version if broker in self._servers else "",
            "remedy": reason.remedy if isinstance(reason, LabError) else reason,
            "kinds": [_kind(at, kind) for at, kind in kinds if kind.broker == broker],
        }

    @property
    def results(self) -> list[dict[str, str]]:
        """What was seen so far, a row for each experiment that was tried: ``table(guarantees.results)``."""
        return rows_of_results(self._trials)

    async def run(
        self, broker: str | None = None, channel: str | None = None, *, aspect: str | None = None
    ) -> Tally:
        """Run every experiment, or a broker's, a channel's, an aspect's, one after another; return the count.

        Some kill their broker and start it again. Interrupting the cell lets the one that runs come to its
        end, and tries no more. Raises ``LabError`` if there is nothing of that name, or nothing left to try
        because the broker is missing.
        """
        if self._is_stopped:
            raise LabError("This table's lab was stopped.", remedy="start a lab, and make a new table")
        spots = self._spots(broker, channel, aspect)
        work = self.own(self._trials.run(spots))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._trials.stop()
            raise
        return Tally.of(self._trials, spots)

    def _spots(self, broker: str | None, channel: str | None, aspect: str | None) -> list[Spot]:
        kinds = self._trials.kinds
        _check("broker", broker, [kind.broker for kind in kinds])
        _check("channel", channel, [kind.channel for kind in kinds if broker in (None, kind.broker)])
        _check("aspect", aspect, list(Aspect))
        if broker is not None and broker in self._missing:
            reason = self._missing[broker]
            raise reason if isinstance(reason, LabError) else LabError(f"{TITLES[broker]}: {reason}")
        return [
            Spot(at, one)
            for at, kind in enumerate(kinds)
            for one in kind.guarantees.claims
            if broker in (None, kind.broker) and channel in (None, kind.channel) and aspect in (None, one)
            if kind.broker in self._servers
        ]

    def received(self, content: Mapping[str, Any]) -> None:
        if content["type"] == "run":
            at, aspect = content.get("at"), content.get("aspect")
            spots = [
                spot
                for spot in self._spots(None, None, aspect)
                if at in (None, spot.at) and spot not in self._trials.waiting | self._trials.running
            ]
            self.own(self._trials.run(spots))
        elif content["type"] == "stop":
            self._trials.stop()

    def greet(self) -> None:
        self._said = {}

    def tell(self, reading: Reading) -> None:
        trials = self._trials
        news = {
            "cells": [
                self._cell(spot) for spot in sorted(trials.outcomes.keys() | trials.waiting | trials.running)
            ],
            "brokers": {broker: server.state for broker, server in self._servers.items()},
            "done": trials.done,
            "total": trials.total,
            "busy": trials.is_busy,
            "stopped": trials.is_stopped,
        }
        if news != self._said or reading.at - self._said_at >= HEARTBEAT_SECONDS:
            self.send({"type": "table", **news})
            self._said, self._said_at = news, reading.at

    def _cell(self, spot: Spot) -> dict[str, Any]:
        outcome = self._trials.outcomes.get(spot)
        seen = outcome.seen if outcome else None
        return {
            "at": spot.at,
            "aspect": spot.aspect,
            "state": self._trials.state(spot),
            "answer": seen.answer if seen else "",
            "words": seen.words if seen else "",
            "error": outcome.error if outcome else "",
        }

    def fallback(self) -> str:
        return guarantees_html(self._trials)

    def __repr__(self) -> str:
        return guarantees_text(self._trials)


def _kind(at: int, kind: Experiments[Any]) -> dict[str, Any]:
    guarantees = kind.guarantees
    return {
        "at": at,
        "channel": kind.channel,
        "since": guarantees.since,
        "shown_on": guarantees.shown_on,
        "claims": [
            {
                "aspect": aspect,
                "answer": claim.answer,
                "words": claim.words,
                "kills": kind.kills_broker(aspect),
                "source": kind.source(aspect),
            }
            for aspect, claim in guarantees.claims.items()
        ],
    }


def _check(what: str, name: str | None, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        known = ", ".join(dict.fromkeys(names))
        raise LabError(f"This table has no {what} {name!r}.", remedy=f"one of: {known}")
