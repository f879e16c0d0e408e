"""``labkit install``: fetch each broker's program, side by side, and say what happens meanwhile."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from labkit.errors import SetupError
from labkit.programs.program import Program

__all__ = ["install", "main_install"]

Say = Callable[[str, str], None]
"""Called as ``say(broker, text)``, from any thread."""


def main_install(brokers: Sequence[str]) -> int:
    """Install these brokers' programs; return 0 if all are here, 1 if one could not be had."""
    # Within a set-up its clock goes on; monotonic time is the machine's, not the process's.
    began = float(os.environ.get("LABKIT_BEGAN", time.monotonic()))
    printing = threading.Lock()

    def say(broker: str, text: str) -> None:
        with printing:
            print(f"  {time.monotonic() - began:5.1f} s  {broker:<9} {text}", flush=True)

    with ThreadPoolExecutor(len(brokers)) as pool:
        results = list(pool.map(lambda broker: _try(broker, say), brokers))
    failures = [result for result in results if isinstance(result, SetupError)]
    for failure in failures:
        print(f"labkit: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _try(broker: str, say: Say) -> Program | SetupError:
    try:
        program = install(broker, say)
    except SetupError as error:
        say(broker, "missing; the others go on")
        return error
    say(broker, f"{program.name} {program.version} ready ({program.source})")
    return program


def install(broker: str, say: Say) -> Program:
    """Return one broker's program, fetched if it was not here, with the caches that make it start fast.

    Raises ``InstallFailed`` or ``ProgramMissing``, which name the remedy.
    """

    def tell(text: str) -> None:
        say(broker, text)

    program: Program = import_module(f"labkit.brokers.{broker}.program").install(tell)
    import_module(f"labkit.brokers.{broker}.server").prepare(program, tell)
    return program
