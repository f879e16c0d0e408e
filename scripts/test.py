"""Every test: pytest, the notebooks run again with nbval, and the JavaScript's where there is a node.

Run by `make test` after the set-up. All runners run, whatever the first ones say; their last words are
printed together at the end. Exit code 0 only if all passed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAIL_BYTES = 20_000
# Several processes, each with brokers of its own; most of a test is waiting for one.
SIDE_BY_SIDE = ("--numprocesses=logical", "--maxprocesses=3")
# nbval takes seconds to load, in each process.
TESTS = (*SIDE_BY_SIDE, "--dist=worksteal", "-p", "no:nbval", "--ignore=tests/browser", "tests")
# Alone: a browser on a busy machine is no browser of a learner's.
BROWSER = ("-p", "no:nbval", "tests/browser")
# Strict: each cell's outputs must be those that are stored. A notebook is one process's.
NOTEBOOKS = (
    *SIDE_BY_SIDE,
    "--dist=loadfile",
    "--nbval",
    "--nbval-current-env",
    "--nbval-cell-timeout=120",
    "notebooks",
)


def main() -> int:
    """Run all runners; return 0 if all passed, else 1."""
    began = time.monotonic()
    results = [
        _pytest("tests", *TESTS),
        _pytest("browser", *BROWSER),
        _pytest("notebooks", *NOTEBOOKS),
        _node(),
    ]
    print("\nTests:")
    for name, status, words in results:
        print(f"  {name:<9}  {'passed' if status == 0 else 'FAILED'}  {words}")
    print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
    return 0 if all(status == 0 for _, status, _ in results) else 1


def _pytest(name: str, *arguments: str) -> tuple[str, int, str]:
    colour = "yes" if sys.stdout.isatty() else "no"
    status, tail = _run([sys.executable, "-m", "pytest", f"--color={colour}", *arguments])
    last = tail.strip().splitlines()[-1] if tail.strip() else "said nothing"
    return name, status, re.sub(r"\x1b\[[0-9;]*m", "", last).strip("= ")


def _node() -> tuple[str, int, str]:
    node = shutil.which("node")
    if not node:
        return "node", 0, "not run: there is no node on PATH"
    files = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.*"))
    if not files:
        return "node", 1, "found no tests in tests/js"
    status, tail = _run([node, "--test", "--test-reporter=spec", *files])
    counts = re.findall(r"(tests|pass|fail) (\d+)\n", tail)
    return "node", status, ", ".join(f"{number} {word}" for word, number in counts)


def _run(argv: Sequence[str]) -> tuple[int, str]:
    """Run a program in the checkout, show what it prints, return its exit code and the end of its output."""
    print("\n$", Path(argv[0]).name, *argv[1:], flush=True)
    alone = {**os.environ, "LABKIT_PROGRESS": "none"}  # what the learner has done is theirs
    process = subprocess.Popen(argv, cwd=ROOT, env=alone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    tail = b""
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            tail = (tail + chunk)[-TAIL_BYTES:]
        return process.wait(), tail.decode(errors="replace")
    except KeyboardInterrupt:
        process.wait()
        print("\nTests: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    sys.exit(main())
