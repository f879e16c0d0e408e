"""The guarantees as they are kept in a notebook: a table without a kernel, and the words for a run's end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from labkit.brokers import TITLES
from labkit.guarantees import Aspect
from labkit.widgets.trials import Outcome, Spot, Trials

__all__ = ["Tally", "guarantees_html", "guarantees_text", "kind_name", "rows_of_results"]

SIGNS = {"shown": " ✓", "otherwise": " ✗", "failed": " !"}
LEGEND = "✓ the broker showed it, ✗ it showed something else, ! the experiment failed"


def kind_name(trials: Trials, at: int) -> str:
    """Return how a sentence calls a kind of channel: ``NATS subject``."""
    kind = trials.kinds[at]
    return f"{TITLES[kind.broker]} {kind.channel}"


def guarantees_text(trials: Trials) -> str:
    """Return the claims, and what was seen so far, as lines of text."""
    table = list(_table(trials))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    return "\n".join([*lines, LEGEND] if trials.outcomes else lines)


def guarantees_html(trials: Trials) -> str:
    """Return the same as a table."""
    left = 'style="text-align: left"'
    head, *body = _table(trials)
    titles = "".join(f'<th scope="col" {left}>{escape(cell)}</th>' for cell in head)
    rows = "".join(
        f'<tr><th scope="row" {left}>{escape(name)}</th>'
        + "".join(f"<td {left}>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in body
    )
    legend = f"<p>{LEGEND}</p>" if trials.outcomes else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>{legend}"


def _table(trials: Trials) -> Iterator[Sequence[str]]:
    yield ["Channel", *(aspect.capitalize() for aspect in Aspect)]
    for at in range(len(trials.kinds)):
        yield [kind_name(trials, at), *(_cell(trials, Spot(at, aspect)) for aspect in Aspect)]


def _cell(trials: Trials, spot: Spot) -> str:
    claim = trials.kinds[spot.at].guarantees.claims.get(spot.aspect)
    return f"{claim.answer}{SIGNS.get(trials.state(spot), '')}" if claim else ""


def rows_of_results(trials: Trials) -> list[dict[str, str]]:
    """Return a row for each experiment that was tried, in the order of the table and not of time."""
    return [
        {
            "Channel": kind_name(trials, spot.at),
            "Asked": f"{spot.aspect}",
            "Claimed": f"{outcome.claim.answer}",
            "Seen": f"{outcome.seen.answer}" if outcome.seen else "an error",
            "What was seen": outcome.seen.words if outcome.seen else outcome.error,
        }
        for spot, outcome in _in_order(trials)
    ]


def _in_order(trials: Trials) -> list[tuple[Spot, Outcome]]:
    order = list(Aspect)
    return sorted(trials.outcomes.items(), key=lambda one: (one[0].at, order.index(one[0].aspect)))


@dataclass(frozen=True)
class Tally:
    """What came of a run, in numbers; ``untried`` were not reached before it was stopped."""

    shown: int
    otherwise: int
    failed: int
    untried: int = 0

    @classmethod
    def of(cls, trials: Trials, spots: Sequence[Spot]) -> Tally:
        """Count what came of these."""
        words = [trials.outcomes[spot].word if spot in trials.outcomes else "" for spot in spots]
        return cls(*(words.count(word) for word in ("shown", "otherwise", "failed", "")))

    def __repr__(self) -> str:
        counts = {
            "showed something else": self.otherwise,
            "failed": self.failed,
            "not tried": self.untried,
        }
        total = self.shown + sum(counts.values())
        rest = "".join(f", {count} {words}" for words, count in counts.items() if count)
        return f"{self.shown} of {total} experiments showed what is claimed{rest}."
