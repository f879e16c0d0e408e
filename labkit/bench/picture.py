"""The picture: a line for each of the table, a dot for each contestant's median, a bar for its spread."""

from __future__ import annotations

from html import escape

from labkit.bench.cell import Contestant, size_words
from labkit.bench.ratios import TARGETS
from labkit.bench.report import HEADERS
from labkit.bench.results import Results, Row, rows
from labkit.brokers import TITLES

__all__ = ["picture"]

# Told apart by people who see colours differently (Okabe and Ito).
COLOURS = {
    Contestant.OURS: "#0072B2",
    Contestant.FEED: "#56B4E9",
    Contestant.LEDGER: "#009E73",
    Contestant.FASTSTREAM: "#D55E00",
}
MOST = 1.5
"""The right edge; who is faster than that stands on it."""

LEFT, WIDTH, RIGHT, TOP, STEP = 330, 560, 20, 64, 20


def picture(results: Results) -> str:
    """Return an SVG of the ratios to raw, from 0 to 1.5."""
    lines = list(rows(results))
    height = TOP + STEP * len(lines) + 12
    total = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" width="{total}" '
        f'height="{height}" font-family="sans-serif" font-size="12" role="img">',
        "<title>Ratios to the raw client</title>",
        f'<rect width="{total}" height="{height}" fill="white"/>',
        *_legend(),
        *_scale(height),
    ]
    for number, row in enumerate(lines):
        parts += _line(row, TOP + STEP * number + STEP // 2)
    return "\n".join([*parts, "</svg>", ""])


def _x(ratio: float) -> float:
    return LEFT + WIDTH * min(ratio, MOST) / MOST


def _legend() -> list[str]:
    parts = []
    for number, (contestant, colour) in enumerate(COLOURS.items()):
        x = LEFT + 140 * number
        parts.append(f'<circle cx="{x}" cy="16" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 10}" y="20">{HEADERS[contestant]}</text>')
    return parts


def _scale(height: int) -> list[str]:
    parts = []
    for tenth in range(0, int(MOST * 10) + 1, 2):
        x, ratio = _x(tenth / 10), tenth / 10
        parts.append(f'<line x1="{x:.0f}" y1="{TOP - 8}" x2="{x:.0f}" y2="{height}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{x:.0f}" y="{TOP - 14}" text-anchor="middle" fill="#555">{ratio:.1f}</text>')
    for ratio, dash in ((1.0, ""), *((least, "4 3") for least in TARGETS.values())):
        x = _x(ratio)
        style = f'stroke="#333" stroke-dasharray="{dash}"' if dash else 'stroke="#333"'
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height}" {style}/>')
    return parts


def _line(row: Row, y: int) -> list[str]:
    cell = row.cell
    measure = "" if row.measure == "each" else f" {row.measure}"
    words = f"{TITLES[cell.broker]} {cell.kind}, {cell.operation}{measure}, {size_words(cell.size)}"
    parts = [f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(words)}</text>']
    for contestant, ratio in reversed(list(row.ratios.items())):
        colour = COLOURS[contestant]
        parts.append(
            f'<line x1="{_x(ratio.least):.1f}" y1="{y}" x2="{_x(ratio.most):.1f}" y2="{y}" '
            f'stroke="{colour}" stroke-opacity="0.35" stroke-width="2"/>'
        )
        parts.append(f'<circle cx="{_x(ratio.median):.1f}" cy="{y}" r="4.5" fill="{colour}"/>')
    return parts
