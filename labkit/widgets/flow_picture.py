"""The live picture drawn once, as SVG: the page's places, shapes and colours; the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from labkit.topology import Lane, LaneSubscriber
from labkit.widgets.flow_layout import HUB_RADIUS, Box, LaneLayout, Link, Point, lay_out, rows_for

__all__ = ["TITLES", "LaneCounts", "flow_svg"]

LaneCounts = Mapping[str, Sequence[Sequence[int]]]

TITLES = {"nats": "NATS", "rabbitmq": "RabbitMQ", "redis": "Redis", "kafka": "Kafka"}
HUES = {"nats": "#0b7d78", "rabbitmq": "#b8560b", "redis": "#bd2c4b", "kafka": "#5a4fcf"}
TEXT, MUTED, EDGE, LINK = "#1d2430", "#59616f", "#dfe3ea", "#cbd2dd"
LOST, AGAIN = "#b3261e", "#8a5a00"
DOUBT = AGAIN
UI_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
CODE_FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

WIDTH = 960.0
GAP = 12.0
HEAD = 36.0
ROOMY_BOX = 160.0
BIG = 1_000
GLYPHS = {
    "pass": "M12 12h.01M8.2 15.8a5.4 5.4 0 0 1 0-7.6M15.8 8.2a5.4 5.4 0 0 1 0 7.6"
    "M5.4 18.6a9.4 9.4 0 0 1 0-13.2M18.6 5.4a9.4 9.4 0 0 1 0 13.2",
    "route": "M3 12h6M9 12c4 0 4-6 8-6h4M9 12h12M9 12c4 0 4 6 8 6h4",
    "keep": "M3 8h18v8H3zM7.5 8v8M12 8v8M16.5 8v8",
}


def flow_svg(lanes: Sequence[Lane], counts: Sequence[LaneCounts] = ()) -> str:
    """Return the lanes as SVG, with ``counts`` (one a lane, see ``lane_counts``) or without numbers."""
    columns = 2 if len(lanes) > 1 else 1
    width = (WIDTH - GAP * (columns - 1)) / columns
    layouts = [lay_out(lane, width, rows_for(lanes)) for lane in lanes]
    step = HEAD + layouts[0].height + GAP
    drawn = [
        f'<g transform="translate({_n(at % columns * (width + GAP))} {_n(at // columns * step)})">'
        f"{_lane(lane, layout, counts[at] if counts else None)}</g>"
        for at, (lane, layout) in enumerate(zip(lanes, layouts, strict=True))
    ]
    size = (WIDTH, -(-len(lanes) // columns) * step - GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(size[0])}" height="{_n(size[1])}" '
        f'viewBox="0 0 {_n(size[0])} {_n(size[1])}" font-family="{UI_FONT}" font-size="13" fill="{TEXT}">'
        f"{''.join(drawn)}</svg>"
    )


def _lane(lane: Lane, layout: LaneLayout, counts: LaneCounts | None) -> str:
    hue = HUES.get(lane.broker, MUTED)
    frame = _rect(Box(0.5, 0.5, layout.width - 1, HEAD + layout.height - 1), radius=12)
    title = f'<circle cx="21.5" cy="22" r="5.5" fill="{hue}"/>' + _text(
        (35, 27), TITLES.get(lane.broker, lane.broker), size=14, bold=True
    )
    stage = "".join(
        [
            *(_link(link) for link in layout.links),
            *_publishers(lane, layout, counts),
            _hub(lane, layout.hub, hue, _unheard(counts)),
            *(_queue(box) for box in layout.queues),
            *_subscribers(lane, layout, counts),
        ]
    )
    return f'{frame}{title}<g transform="translate(0 {_n(HEAD)})">{stage}</g>'


def _publishers(lane: Lane, layout: LaneLayout, counts: LaneCounts | None) -> list[str]:
    told = counts["publishers"] if counts else [None] * len(lane.publishers)
    return [
        _publisher(name, box, row, lane.confirms, len(told) > 1)
        for name, box, row in zip(lane.publishers, layout.publishers, told, strict=True)
    ]


def _publisher(name: str, box: Box, row: Sequence[int] | None, confirms: bool, crowded: bool) -> str:
    lines = [_rect(box, radius=9), _text((box.x + 11, box.middle - (13 if row else -4)), name, bold=True)]
    if row:
        sent, confirmed, refused, in_doubt, _ = row
        lines.append(_text((box.x + 11, box.middle + 4), f"{sent:,} sent"))
        if not (crowded and (refused or in_doubt)):
            answered = _confirm_words(confirms, sent, confirmed)
            lines.append(_text((box.x + 11, box.middle + 20), answered, size=11, fill=MUTED))
        lines += _failed(box, refused, in_doubt, crowded)
    return "".join(lines)


def _failed(box: Box, refused: int, in_doubt: int, crowded: bool) -> list[str]:
    """Below the publisher; where several stand close together, in its last line."""
    found = [(f"✕ {refused:,}", " refused", LOST)] if refused else []
    found += [(f"? {in_doubt:,}", " in doubt", DOUBT)] if in_doubt else []
    texts = []
    for at, (count, word, fill) in enumerate(found):
        words, place = count + word, (box.x + 11, box.y + box.h + 17 + 15 * at)
        if crowded:
            words, place = count, (box.x + 11 + 45 * at, box.middle + 20)
        texts.append(_text(place, words, size=11, fill=fill))
    return texts


def _confirm_words(confirms: bool, sent: int, confirmed: int) -> str:
    if not confirms:
        return "no confirms"
    return "all confirmed" if sent and sent == confirmed else f"{confirmed:,} confirmed"


def _unheard(counts: LaneCounts | None) -> int:
    return sum(unheard for *_, unheard in counts["publishers"]) if counts else 0


def _hub(lane: Lane, at: Point, hue: str, unheard: int) -> str:
    x, y = at
    parts = [
        _text((x, y - HUB_RADIUS - 26), lane.kind, size=11, fill=MUTED, anchor="middle"),
        _text((x, y - HUB_RADIUS - 10), lane.name, size=12, bold=True, anchor="middle", font=CODE_FONT),
        f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(HUB_RADIUS - 0.75)}" fill="#fff"/>',
        f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(HUB_RADIUS - 0.75)}" fill="{hue}" fill-opacity=".1" '
        f'stroke="{hue}" stroke-width="1.5"/>',
        f'<path transform="translate({_n(x - 13)} {_n(y - 13)}) scale(1.083)" '
        f'd="{GLYPHS[_glyph(lane.kind)]}" fill="none" stroke="{hue}" stroke-width="1.7" '
        'stroke-linecap="round" stroke-linejoin="round"/>',
    ]
    if unheard:
        words = f"✕ {unheard:,} unheard"
        parts.append(_text((x, y + HUB_RADIUS + 24), words, size=11, fill=LOST, anchor="middle"))
    return "".join(parts)


def _glyph(kind: str) -> str:
    if kind.endswith("exchange"):
        return "route"
    return "keep" if kind in ("topic", "stream") else "pass"


def _queue(box: Box) -> str:
    step = (box.w - 10) / 5
    slots = [Box(box.x + 6 + at * step, box.y + 5, step - 2, box.h - 10) for at in range(5)]
    return _rect(box, radius=6) + "".join(_rect(slot, radius=2, fill="#f4f6f9") for slot in slots)


def _subscribers(lane: Lane, layout: LaneLayout, counts: LaneCounts | None) -> list[str]:
    told = counts["subscribers"] if counts else [None] * len(lane.subscribers)
    return [
        _subscriber(one, box, row)
        for one, box, row in zip(lane.subscribers, layout.subscribers, told, strict=True)
    ]


def _subscriber(one: LaneSubscriber, box: Box, row: Sequence[int] | None) -> str:
    left, right = box.x + 12, box.x + box.w - 12
    total, again = (sum(row), row[1]) if row else (0, 0)
    is_stacked = box.w < ROOMY_BOX and (one.filter != "" or total >= BIG)
    parts = [_rect(box, radius=9)]
    parts.append(_text((left, box.middle + (-4 if one.filter or is_stacked else 5)), one.name, bold=True))
    if one.filter:
        words = _short(one.filter, int((box.w - 30 - len(f"{total:,}") * 9) / 6.7))
        parts.append(_text((left, box.middle + 13), words, size=11, fill=MUTED, font=CODE_FONT))
    if row:
        height = box.middle + (14 if is_stacked else 0 if again else 5)
        parts.append(_text((right, height), f"{total:,}", size=15, bold=True, anchor="end"))
    if again:
        height = box.middle + (-5 if is_stacked else 15)
        parts.append(_text((right, height), f"◎ {again:,}", size=11, fill=AGAIN, anchor="end"))
    return "".join(parts)


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _link(link: Link) -> str:
    (x0, y0), (x3, y3) = link.start, link.end
    bend = (x3 - x0) / 2
    path = f"M{_n(x0)} {_n(y0)}C{_n(x0 + bend)} {_n(y0)} {_n(x3 - bend)} {_n(y3)} {_n(x3)} {_n(y3)}"
    return f'<path d="{path}" fill="none" stroke="{LINK}" stroke-width="1.5"/>'


def _rect(box: Box, radius: float, fill: str = "#fff") -> str:
    return (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.w)}" height="{_n(box.h)}" rx="{_n(radius)}" '
        f'fill="{fill}" stroke="{EDGE}"/>'
    )


def _text(
    at: Point,
    words: str,
    *,
    size: int = 13,
    bold: bool = False,
    fill: str = TEXT,
    anchor: str = "start",
    font: str = "",
) -> str:
    weight = ' font-weight="600"' if bold else ""
    family = f' font-family="{font}"' if font else ""
    return (
        f'<text x="{_n(at[0])}" y="{_n(at[1])}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
        f"{weight}{family}>{escape(words)}</text>"
    )


def _n(number: float) -> str:
    """Write a number short and always the same way."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
