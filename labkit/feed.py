"""What happened: true totals, and a bounded sample of messages to draw.

A lab has one feed. Clients bind a meter for each kind and place and call it for each message; whoever draws
asks for ``totals`` and ``take_sample`` a few times a second. Totals only grow, so a reader that misses a
batch is right again with the next one. A sample holds at most ``per_place`` messages of each kind and place,
so a rare kind (a refusal) is never crowded out by a common one.
"""

from __future__ import annotations

from time import perf_counter

from labkit.events import Event, Kind, Meter, Observer, Place
from labkit.message import Message

__all__ = ["Feed", "Several"]


class _Counter:
    __slots__ = ("count", "room", "sample")

    def __init__(self, room: int) -> None:
        self.count = 0
        self.room = room
        self.sample: list[tuple[float, Message]] = []


class Feed:
    """Counts every event and keeps a few of each to look at."""

    def __init__(self, per_place: int = 6) -> None:
        self._per_place = per_place
        self._counters: dict[tuple[Kind, Place], _Counter] = {}

    def meter(self, kind: Kind, place: Place) -> Meter:
        """Return the meter for this kind at this place; the same counter however often it is asked for."""
        counter = self._counters.setdefault((kind, place), _Counter(self._per_place))

        def count_one(message: Message) -> None:
            counter.count += 1
            if counter.room:
                counter.room -= 1
                counter.sample.append((perf_counter(), message))

        return count_one

    def count(self, kind: Kind, place: Place) -> int:
        """Return how many events of this kind happened at this place."""
        counter = self._counters.get((kind, place))
        return counter.count if counter else 0

    def totals(self) -> dict[Place, dict[Kind, int]]:
        """Return every count so far, by place and kind."""
        totals: dict[Place, dict[Kind, int]] = {}
        for (kind, place), counter in self._counters.items():
            totals.setdefault(place, {})[kind] = counter.count
        return totals

    def take_sample(self) -> list[Event]:
        """Return the messages sampled since the last call, oldest first, and make room for new ones."""
        events: list[Event] = []
        for (kind, place), counter in self._counters.items():
            taken, counter.sample = counter.sample, []
            counter.room = self._per_place
            events.extend(Event(kind, place, at, message) for at, message in taken)
        events.sort(key=lambda event: event.at)
        return events


class Several:
    """Several observers as one, each told of everything: a feed to look at and a ledger to settle by."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def meter(self, kind: Kind, place: Place) -> Meter:
        """Return a meter that calls each observer's own."""
        meters = [observer.meter(kind, place) for observer in self._observers]
        if len(meters) == 1:
            return meters[0]
        if len(meters) == 2:
            return _tell_both(*meters)

        def tell_each(message: Message) -> None:
            for meter in meters:
                meter(message)

        return tell_each


def _tell_both(first: Meter, second: Meter) -> Meter:
    """Return a meter that calls both: the usual case, without a loop."""

    def tell_both(message: Message) -> None:
        first(message)
        second(message)

    return tell_both
