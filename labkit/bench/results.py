"""What a whole benchmark found, as data, and as the JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from typing import Any, NamedTuple

from labkit.bench.cell import Cell, Contestant, Operation
from labkit.bench.measure import Pace
from labkit.bench.ratios import Ratio, Run, median_of, misses, ratio_to_raw

__all__ = ["CellResult", "Results", "Row", "machine", "package_versions", "rows", "to_json"]

PACKAGES = ("broker-lab", "nats-py", "aio-pika", "redis", "hiredis", "aiokafka", "faststream")


@dataclass(frozen=True)
class CellResult:
    """One cell's rounds, or why there are none."""

    cell: Cell
    rounds: Sequence[Mapping[Contestant, Run]]
    error: str | None = None


@dataclass
class Results:
    """Everything that is needed to read the numbers."""

    pace: Pace
    versions: dict[str, str]
    machine: dict[str, str]
    notes: list[str]
    cells: list[CellResult] = field(default_factory=list)


class Row(NamedTuple):
    """One line of the table: a cell, or one of two latencies of a cell."""

    cell: Cell
    measure: str
    raw: float
    """Raw's median: messages a second, or seconds of latency."""
    ratios: Mapping[Contestant, Ratio]
    cpu: Mapping[Contestant, Ratio]
    missed: Sequence[str]


def rows(results: Results) -> Iterator[Row]:
    """Yield the lines of the table. Only medians are held against the targets, never a p99."""
    for result in results.cells:
        if result.error is not None:
            continue
        others: list[Contestant] = [one for one in result.rounds[0] if one is not Contestant.RAW]
        cpu = {one: ratio_to_raw(result.rounds, one, "cpu_each") for one in others}
        is_request = result.cell.operation is Operation.REQUEST
        for measure in ("p50", "p99") if is_request else ("each",):
            ratios = {one: ratio_to_raw(result.rounds, one, measure) for one in others}
            raw = median_of(result.rounds, Contestant.RAW, measure)
            missed = [] if measure == "p99" else misses(ratios)
            yield Row(result.cell, measure, raw if is_request else 1 / raw, ratios, cpu, missed)


def machine() -> dict[str, str]:
    """Return what it ran on, as far as that matters."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(cpu_count()),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the lab, the client libraries and FastStream, where they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def to_json(results: Results) -> str:
    """Return the JSON file: each run's microseconds a message, in the order of the rounds, and the ratios."""
    found = [_ratios_as_data(row) for row in rows(results)]
    return json.dumps(
        {
            "rounds": results.pace.rounds,
            "seconds_a_run": results.pace.seconds,
            "versions": results.versions,
            "machine": results.machine,
            "notes": results.notes,
            "rows": found,
            "cells": [_cell_as_data(result) for result in results.cells],
        },
        indent=1,
    )


def _ratios_as_data(row: Row) -> dict[str, Any]:
    def spread(ratio: Ratio) -> list[float]:
        return [round(number, 3) for number in (ratio.median, ratio.least, ratio.most)]

    return {
        **row.cell._asdict(),
        "measure": row.measure,
        "raw": round(row.raw, 6),
        "ratios": {one: spread(ratio) for one, ratio in row.ratios.items()},
        "cpu_ratios": {one: spread(ratio) for one, ratio in row.cpu.items()},
        "missed": list(row.missed),
    }


def _cell_as_data(result: CellResult) -> dict[str, Any]:
    data: dict[str, Any] = {**result.cell._asdict(), "error": result.error, "runs": {}}
    for contestant in result.rounds[0] if result.rounds else ():
        runs = [one_round[contestant] for one_round in result.rounds]
        data["runs"][contestant] = {
            "count": runs[0].count,
            "us_each": [round(run.each * 1e6, 2) for run in runs],
            "cpu_us_each": [round(run.cpu_each * 1e6, 2) for run in runs],
        }
    return data
