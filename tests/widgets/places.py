"""Where nodes stand, kept in ``tests/js/places.json`` so that Python and JavaScript can be held to the same.

Run this file after a change of the layout: ``python tests/widgets/places.py``.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

from labkit.topology import Lane, LaneQueue, LaneSubscriber
from labkit.widgets.flow_batch import lane_words
from labkit.widgets.flow_layout import lay_out, rows_for

PLACES = Path(__file__).parents[1] / "js" / "places.json"
WIDTHS = (480.0, 700.0)
LANES = (
    Lane("nats", "subject", "orders.*", tuple(map(LaneSubscriber, ("billing", "shipping", "audit")))),
    Lane(
        "rabbitmq",
        "topic exchange",
        "orders",
        tuple(LaneSubscriber(name, queue=LaneQueue(name)) for name in ("billing", "audit")),
    ),
    Lane(
        "rabbitmq",
        "exchange",
        "work",
        tuple(LaneSubscriber(name, queue=LaneQueue("jobs")) for name in ("a", "b", "c", "d")),
        publishers=("shop", "till"),
    ),
)


def places() -> list[dict[str, Any]]:
    """Return each lane as the page knows it, and the corners and sizes of its nodes."""
    rows = rows_for(LANES)
    return [_place(lane, width, rows) for lane in LANES for width in WIDTHS]


def _place(lane: Lane, width: float, rows: int) -> dict[str, Any]:
    layout = lay_out(lane, width, rows)
    nodes = {name: getattr(layout, name) for name in ("publishers", "queues", "subscribers")}
    boxes = {
        name: [[round(part, 6) for part in astuple(box)] for box in found] for name, found in nodes.items()
    }
    links = [[round(part, 6) for part in (*link.start, *link.end)] for link in layout.links]
    return {
        "lane": lane_words(lane),
        "width": width,
        "rows": rows,
        "height": layout.height,
        "hub": [round(part, 6) for part in layout.hub],
        "links": links,
        **boxes,
    }


if __name__ == "__main__":
    PLACES.write_text(json.dumps(places(), indent=1) + "\n")
