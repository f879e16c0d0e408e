"""What one batch tells the page: true totals for every node, and a few messages to draw as dots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from labkit.events import Event, Kind, Place
from labkit.topology import Lane

__all__ = ["PUBLISHER_KINDS", "SUBSCRIBER_KINDS", "choose_dots", "lane_counts", "lane_words"]

PUBLISHER_KINDS = (Kind.SENT, Kind.CONFIRMED, Kind.REFUSED, Kind.IN_DOUBT, Kind.UNHEARD)
SUBSCRIBER_KINDS = (Kind.DELIVERED, Kind.REDELIVERED)

COMMON = {Kind.SENT, Kind.DELIVERED}
RARE = {Kind.REFUSED, Kind.IN_DOUBT, Kind.UNHEARD, Kind.REDELIVERED}
COMMON_DOTS = 28
"""Most ordinary dots in a batch: 20 batches a second of dots that live 0.7 s make about 400 at a time."""
RARE_DOTS = 6
"""Rare kinds have room of their own, so that a refusal is seen among a thousand deliveries."""
FULL_SAMPLE = 6
"""A node with so many in one sample probably did more than that; see ``Feed``."""
OLDEST_SECONDS = 0.5
"""What happened longer ago is not drawn; the totals have it."""

Dot = list[Any]
Totals = Mapping[Place, Mapping[Kind, int]]


def lane_words(lane: Lane) -> dict[str, Any]:
    """Return a lane as the page knows it."""
    queues = [queue.name for queue in lane.queues]
    return {
        "broker": lane.broker,
        "kind": lane.kind,
        "name": lane.name,
        "confirms": lane.confirms,
        "publishers": list(lane.publishers),
        "queues": queues,
        "subscribers": [
            {
                "name": one.name,
                "filter": one.filter,
                "queue": queues.index(one.queue.name) if one.queue else None,
            }
            for one in lane.subscribers
        ],
    }


def lane_counts(lane: Lane, totals: Totals) -> dict[str, list[list[int]]]:
    """Return every node's totals: for each publisher and subscriber a number for each kind, in order."""
    counted = [(place.client, kinds) for place, kinds in totals.items() if lane.counts(place)]

    def sums(name: str, kinds: Iterable[Kind]) -> list[int]:
        mine = [found for client, found in counted if client == name]
        return [sum(found.get(kind, 0) for found in mine) for kind in kinds]

    return {
        "publishers": [sums(name, PUBLISHER_KINDS) for name in lane.publishers],
        "subscribers": [sums(one.name, SUBSCRIBER_KINDS) for one in lane.subscribers],
    }


def choose_dots(lanes: Sequence[Lane], sample: Sequence[Event], since: float, now: float) -> list[Dot]:
    """Return what to draw: ``[lane, kind, node, when]``, when in seconds after the last batch.

    Each node gets an equal share of the room. A sample holds the first of each batch; where there were more
    than are drawn, their dots are spread over the whole of it.
    """
    drawn = [dot for event in sample if event.at > now - OLDEST_SECONDS for dot in _dots(lanes, event, since)]
    common = [dot for dot in drawn if dot[1] in COMMON]
    rare = [dot for dot in drawn if dot[1] in RARE]
    chosen = _fair(common, COMMON_DOTS, now - since) + _fair(rare, RARE_DOTS, now - since)
    return sorted(chosen, key=lambda dot: float(dot[3]))


def _dots(lanes: Sequence[Lane], event: Event, since: float) -> Iterable[Dot]:
    for index, lane in enumerate(lanes):
        node = _node(lane, event)
        if node is not None and lane.counts(event.place):
            yield [index, event.kind, node, round(max(0.0, event.at - since), 3)]


def _node(lane: Lane, event: Event) -> int | None:
    if event.kind in SUBSCRIBER_KINDS:
        names = [one.name for one in lane.subscribers]
    else:
        names = list(lane.publishers)
    return names.index(event.place.client) if event.place.client in names else None


def _fair(dots: Sequence[Dot], room: int, seconds: float) -> list[Dot]:
    """Return at most ``room`` dots: the first of every node, then the second of every node, and so on."""
    nodes: dict[tuple[Any, ...], list[Dot]] = {}
    for dot in dots:
        nodes.setdefault(tuple(dot[:3]), []).append(dot)
    turns = zip_longest(*nodes.values())
    chosen = [dot for turn in turns for dot in turn if dot is not None][:room]
    if len(chosen) == len(dots) and all(len(mine) < FULL_SAMPLE for mine in nodes.values()):
        return chosen
    return [_spread(dot, at, len(chosen), seconds) for at, dot in enumerate(chosen)]


def _spread(dot: Dot, at: int, count: int, seconds: float) -> Dot:
    return [*dot[:3], round(seconds * at / count, 3)]
