"""``labkit doctor``: what this machine has for each broker, what was passed over and why, what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from labkit.errors import EngineMissing
from labkit.home import home
from labkit.programs.program import Candidate, Program
from labkit.servers.choice import how_to_run
from labkit.servers.container_plan import image_of
from labkit.servers.engine import Engine

__all__ = ["Finding", "examine", "main_doctor"]

ENOUGH_DISK = 1_000_000_000
"""Bytes a full set of programs and a few labs need."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one broker: the program to run if any, and every place that was looked at.

    ``external`` is the address of a broker of one's own that is used instead, ``image`` what a container runs
    where that is asked for; ``remedy`` gets a program that is missing, empty where none is needed.
    """

    broker: str
    program: Program | None
    passed_over: tuple[Candidate, ...]
    remedy: str
    external: str = ""
    image: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether there is something to run."""
        return bool(self.program or self.external or self.image)


def examine(broker: str) -> Finding:
    """Look at every place a broker's program may be; no network, nothing is started."""
    slice_ = import_module(f"labkit.brokers.{broker}.program")
    candidates = tuple(slice_.candidates())
    program = next((one.program for one in candidates if one.program), None)
    passed_over = tuple(one for one in candidates if one.problem)
    external = os.environ.get(f"LABKIT_{broker.upper()}_URL", "")
    image = image_of(broker) if how_to_run(broker, None) == "container" else ""
    remedy = "" if program or image else slice_.REMEDY
    return Finding(broker, program, passed_over, remedy, external, image)


def main_doctor(brokers: tuple[str, ...]) -> int:
    """Print what was found; return 0 if every broker can start, else 1."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    findings = [examine(broker) for broker in brokers]
    table = Table("Broker", "Program", "Version", "Where from", title="Brokers", title_justify="left")
    for finding in findings:
        table.add_row(*(escape(cell) for cell in _row(finding)))
    console = Console()
    console.print(table)
    for finding in findings:
        for text in _how(finding):
            console.print(f"  {finding.broker} runs {text}", markup=False, highlight=False, soft_wrap=True)
    for finding in findings:
        for one in finding.passed_over:
            console.print(
                f"  {finding.broker}: passed over {one.source}: {one.problem}", markup=False, style="dim"
            )
        if finding.remedy:
            console.print(f"  {finding.broker} is missing. Try: {finding.remedy}", markup=False, style="bold")
    engine, has_engine = _engine(is_needed=any(finding.image for finding in findings))
    for name, text, is_fine in [*_machine(), ("Docker", engine, has_engine)]:
        console.print(f"{'ok ' if is_fine else 'BAD'}  {name}: {text}", markup=False, highlight=False)
    return 0 if has_engine and all(finding.is_fine for finding in findings) else 1


def _row(finding: Finding) -> tuple[str, str, str, str]:
    if finding.external:
        return finding.broker, "your own", "", f"LABKIT_{finding.broker.upper()}_URL"
    if finding.image:
        return finding.broker, finding.image, "", "in a container"
    program = finding.program
    if program is None:
        return finding.broker, "missing", "", ""
    return finding.broker, program.name, program.version, program.source


def _how(finding: Finding) -> Iterator[str]:
    """Yield what is run, and with what."""
    if finding.external:
        yield f"at {finding.external}"
    elif finding.image:
        yield f"from {finding.image}"
    elif finding.program:
        yield str(finding.program.path)
        for name, path in finding.program.parts.items():
            yield f"with {name} {path}"


def _machine() -> list[tuple[str, str, bool]]:
    """Return what else the lab needs: name, what there is, whether that will do."""
    folder = home()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return [
        ("Python", f"{platform.python_version()} ({Path(sys.executable)})", sys.version_info >= (3, 11)),
        ("JupyterLab", _installed("jupyterlab"), _installed("jupyterlab") != "missing"),
        ("the lab's folder", str(folder), True),
        ("free disk", f"{free / 1e9:.1f} GB", free >= ENOUGH_DISK),
    ]


def _engine(is_needed: bool) -> tuple[str, bool]:
    """Return what there is to run containers, and whether that will do."""
    try:
        engine = Engine.connect()
    except EngineMissing as missing:
        return (str(missing), False) if is_needed else (f"{missing.what} None is needed.", True)
    release = engine.native.version()["Version"]
    engine.close()
    return f"{release}, for LABKIT_HOW=container", True


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "missing"
