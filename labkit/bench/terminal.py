"""``labkit bench``: progress while it runs, then the table, the picture and the JSON file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from labkit.bench.cell import SIZES, Cell
from labkit.bench.measure import Pace
from labkit.bench.picture import picture
from labkit.bench.report import markdown, rich_table, summary
from labkit.bench.results import Results, to_json
from labkit.bench.run import Plan, planned, run_plan
from labkit.errors import LabError

__all__ = ["QUICK", "QUICK_SIZES", "THOROUGH", "main_bench"]

QUICK, QUICK_SIZES = Pace(rounds=3, seconds=0.05, least=20), (1024,)
THOROUGH = Pace()
FOLDER, KEPT = Path("build/bench"), Path("docs/bench")


def main_bench(
    brokers: Sequence[str], *, only: Sequence[str], quick: bool, json_file: Path | None, save: bool
) -> int:
    """Measure and report; return 1 if a cell could not be measured. A missed target is not a failure."""
    plan = Plan(brokers, QUICK if quick else THOROUGH, QUICK_SIZES if quick else SIZES, only)
    cells = sum(len(planned(plan, broker)) for broker in brokers)
    if not cells:
        raise LabError(f"No cell's name has {' and '.join(only)} in it.", remedy="labkit bench --quick")
    console = Console()
    results = _measure(plan, cells, console)
    console.print(rich_table(results))
    for line in summary(results):
        console.print(line, highlight=False, markup=False)
    for folder in (FOLDER, KEPT) if save else (FOLDER,):
        _write(results, folder)
        console.print(f"Written to {folder}: README.md, picture.svg, results.json")
    if json_file is not None:
        json_file.write_text(to_json(results), encoding="utf-8")
    return 1 if any(result.error is not None for result in results.cells) else 0


def _measure(plan: Plan, cells: int, console: Console) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=cells)

        def on_round(cell: Cell, number: int) -> None:
            progress.update(task, description=f"{cell}, round {number} of {plan.pace.rounds}")

        def on_cell(results: Results) -> None:
            progress.advance(task)
            _write(results, FOLDER)  # so that a run that is cut short was not for nothing
            result = results.cells[-1]
            if result.error is not None or not console.is_terminal:
                console.print(f"{result.cell}: {result.error or 'done'}", highlight=False, markup=False)

        return asyncio.run(run_plan(plan, on_round=on_round, on_cell=on_cell))


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(markdown(results), encoding="utf-8")
    (folder / "picture.svg").write_text(picture(results), encoding="utf-8")
    (folder / "results.json").write_text(to_json(results), encoding="utf-8")
