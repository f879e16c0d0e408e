"""The table, for a terminal and as Markdown."""

from __future__ import annotations

from rich.table import Table

from labkit.bench.cell import Contestant, size_words
from labkit.bench.ratios import TARGETS, Ratio
from labkit.bench.results import Results, Row, rows
from labkit.brokers import TITLES

__all__ = ["markdown", "rich_table", "summary"]

OTHERS = tuple(one for one in Contestant if one is not Contestant.RAW)
HEADERS = {
    Contestant.OURS: "ours",
    Contestant.FEED: "+ feed",
    Contestant.LEDGER: "+ feed, ledger",
    Contestant.FASTSTREAM: "FastStream",
}
COLUMNS = (
    *("broker", "channel", "operation", "size", "raw"),
    *(HEADERS[one] for one in OTHERS),
    *("ours, CPU", "missed"),
)


def rich_table(results: Results) -> Table:
    """Return the table for a terminal: medians only, red where a target is missed."""
    headers = [HEADERS[one] for one in OTHERS]
    table = Table("", "raw", *headers, title="Ratios to the raw client (medians); 1.00 is as fast")
    for row in rows(results):
        _broker, kind, operation, size, raw, *_rest = _cells(row)
        medians = [f"{row.ratios[one].median:.2f}" if one in row.ratios else "-" for one in OTHERS]
        what = f"{row.cell.broker} {kind}: {operation} {size}"
        table.add_row(what, raw, *medians, style="red" if row.missed else None)
    return table


def markdown(results: Results) -> str:
    """Return the page with the table, and with what is needed to read it."""
    lines = [
        "# Benchmark",
        "",
        "![Ratios to the raw client](picture.svg)",
        "",
        *summary(results),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows(results)),
        "",
    ]
    return "\n".join(lines)


def summary(results: Results) -> list[str]:
    """Return the sentences above the table."""
    found = list(rows(results))
    missed = sum(bool(row.missed) for row in found)
    targets = ", ".join(f"{HEADERS[one]} at least {least}" for one, least in TARGETS.items())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return [
        f"Ratios to the raw client of the same round (1.00 is as fast, more is faster): the median of "
        f"{results.pace.rounds} rounds, and in brackets the least and the most. Raw: messages a second, or "
        "the latency of a reply. CPU: the same ratio in this process's processor time.",
        "",
        f"Targets: {targets}, and ours ahead of FastStream. {len(found)} lines, {missed} miss one.",
        "",
        f"On {', '.join(results.machine.values())} processors; {versions}.",
        *(f"\n{note}" for note in results.notes),
        *(f"\nNot measured: {one.cell}: {one.error}" for one in results.cells if one.error is not None),
    ]


def _cells(row: Row) -> list[str]:
    cell, is_latency = row.cell, row.measure != "each"
    operation = f"{cell.operation} {row.measure}" if is_latency else str(cell.operation)
    raw = f"{row.raw * 1000:.2f} ms" if is_latency else f"{row.raw:,.0f}/s"
    ours = row.cpu.get(Contestant.OURS)
    return [
        TITLES[cell.broker],
        cell.kind,
        operation,
        size_words(cell.size),
        raw,
        *(_words(row.ratios.get(one)) for one in OTHERS),
        f"{ours.median:.2f}" if ours else "-",
        "; ".join(row.missed),
    ]


def _words(ratio: Ratio | None) -> str:
    return f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})" if ratio else "-"
