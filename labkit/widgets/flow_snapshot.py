"""The live picture as it is kept in a notebook: an image that needs no kernel, and a table of totals."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from labkit.topology import Lane
from labkit.widgets.flow_picture import TITLES, LaneCounts, flow_svg

__all__ = ["FlowSnapshot", "flow_image"]

HEAD = ("Broker", "Who", "Sent", "Confirmed", "Refused", "In doubt", "Unheard", "Received", "Again")


def flow_image(lanes: Sequence[Lane], counts: Sequence[LaneCounts] = (), title: str = "") -> str:
    """Return an HTML figure of the lanes. The image is inside it; untrusted notebooks show it too."""
    data = base64.b64encode(flow_svg(lanes, counts).encode()).decode()
    words = escape(title or "Publishers, channels and subscribers of each broker", quote=True)
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f'<figure><img alt="{words}" src="data:image/svg+xml;base64,{data}">{caption}</figure>'


@dataclass(frozen=True)
class FlowSnapshot:
    """The picture and its totals at one moment; the same totals always look the same."""

    title: str
    lanes: tuple[Lane, ...]
    counts: tuple[LaneCounts, ...]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table below the picture: a row for each publisher and subscriber; "" where nothing can be."""
        return [
            row for lane, counts in zip(self.lanes, self.counts, strict=True) for row in _rows(lane, counts)
        ]

    def __repr__(self) -> str:
        table = [HEAD, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
        lines = [_text_line(row, widths) for row in table]
        return "\n".join([self.title, *lines] if self.title else lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return flow_image(self.lanes, self.counts, self.title) + table


def _rows(lane: Lane, counts: LaneCounts) -> list[tuple[str, ...]]:
    broker = TITLES.get(lane.broker, lane.broker)
    rows: list[tuple[str, ...]] = []
    for name, row in zip(lane.publishers, counts["publishers"], strict=True):
        sent, confirmed, refused, in_doubt, unheard = row
        told = f"{confirmed}" if lane.confirms else "never"
        rows.append((broker, name, f"{sent}", told, f"{refused}", f"{in_doubt}", f"{unheard}", "", ""))
    for one, (delivered, again) in zip(lane.subscribers, counts["subscribers"], strict=True):
        rows.append((broker, one.name, "", "", "", "", "", f"{delivered + again}", f"{again}"))
    return rows


def _text_line(row: Sequence[str], widths: Sequence[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
    return "  ".join([*words, *numbers]).rstrip()
