"""Where everything of a lane stands: the maths of ``flow_layout.js``, for the picture in a saved notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.topology import Lane

__all__ = ["HUB_RADIUS", "Box", "LaneLayout", "Link", "Point", "lay_out", "rows_for"]

LEAST_ROWS = 3
PITCH = 58.0
PAD = 14.0
HUB_RADIUS = 29.0
ROOMY = 640.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Sizes:
    publisher: Point
    subscriber: Point
    queue: Point


NORMAL = _Sizes((110.0, 52.0), (140.0, 46.0), (48.0, 24.0))
WIDE = _Sizes((128.0, 52.0), (190.0, 46.0), (58.0, 24.0))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    w: float
    h: float

    @property
    def middle(self) -> float:
        """The height of its centre."""
        return self.y + self.h / 2


@dataclass(frozen=True, slots=True)
class Link:
    """A way from one point to another; it leaves and arrives level."""

    start: Point
    end: Point


@dataclass(frozen=True, slots=True)
class LaneLayout:
    """The places of a lane's nodes, in the order of the lane, and the links between them."""

    width: float
    height: float
    hub: Point
    publishers: tuple[Box, ...]
    queues: tuple[Box, ...]
    subscribers: tuple[Box, ...]
    links: tuple[Link, ...]


def rows_for(lanes: Sequence[Lane]) -> int:
    """Return how many rows every lane gets, so that neighbours are equally high."""
    return max(LEAST_ROWS, *(max(len(lane.subscribers), len(lane.publishers)) for lane in lanes))


def lay_out(lane: Lane, width: float, rows: int) -> LaneLayout:
    """Return where the nodes of a lane stand in a stage of this width."""
    height = rows * PITCH + 16
    sizes = NORMAL if width < ROOMY else WIDE
    right = width - PAD - sizes.subscriber[0]
    hub_x, queue_x = _middle_columns(lane, PAD + sizes.publisher[0], right, sizes.queue[0])
    hub = (hub_x, height / 2)
    publishers = _column(PAD, len(lane.publishers), height / 2, sizes.publisher)
    subscribers = _column(right, len(lane.subscribers), height / 2, sizes.subscriber)
    queues = tuple(_box(queue_x, middle, sizes.queue) for middle in _queue_heights(lane, subscribers))
    links = _links(lane, hub, publishers, queues, subscribers)
    return LaneLayout(width, height, hub, publishers, queues, subscribers, links)


def _middle_columns(lane: Lane, left: float, right: float, queue: float) -> Point:
    """Return where the hub has its centre and the queues begin, with equal gaps."""
    wide = 2 * HUB_RADIUS + (queue if lane.queues else 0)
    gap = (right - left - wide) / (3 if lane.queues else 2)
    return left + gap + HUB_RADIUS, left + 2 * gap + 2 * HUB_RADIUS


def _column(x: float, count: int, middle: float, size: Point) -> tuple[Box, ...]:
    return tuple(_box(x, middle + (index - (count - 1) / 2) * PITCH, size) for index in range(count))


def _box(x: float, middle: float, size: Point) -> Box:
    return Box(x, middle - size[1] / 2, *size)


def _queue_heights(lane: Lane, subscribers: Sequence[Box]) -> list[float]:
    """A queue stands at the mean height of those who share it."""
    heights = []
    for queue in lane.queues:
        mine = [
            box.middle for box, one in zip(subscribers, lane.subscribers, strict=True) if one.queue == queue
        ]
        heights.append(sum(mine) / len(mine))
    return heights


def _links(
    lane: Lane, hub: Point, publishers: Sequence[Box], queues: Sequence[Box], subscribers: Sequence[Box]
) -> tuple[Link, ...]:
    into, out = (hub[0] - HUB_RADIUS, hub[1]), (hub[0] + HUB_RADIUS, hub[1])
    links = [Link((box.x + box.w, box.middle), into) for box in publishers]
    links += [Link(out, (box.x, box.middle)) for box in queues]
    for box, one in zip(subscribers, lane.subscribers, strict=True):
        queue = queues[lane.queues.index(one.queue)] if one.queue else None
        start = (queue.x + queue.w, queue.middle) if queue else out
        links.append(Link(start, (box.x, box.middle)))
    return tuple(links)
