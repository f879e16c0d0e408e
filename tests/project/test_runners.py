"""scripts/test.py, which `make test` ends in: it runs every runner and fails if one fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
PASSES = {"tests": "assert True", "browser": "assert True", "notebooks": "4", "node": "assert.equal(1, 1)"}
FAILS = {"tests": "assert False", "browser": "assert False", "notebooks": "5", "node": "assert.equal(1, 2)"}
RUNNERS = [name for name in PASSES if name != "node" or shutil.which("node")]


def write_project(folder: Path, said: dict[str, str]) -> Path:
    """Write one small test for each runner."""
    for name in ("scripts", "tests/browser", "tests/js", "notebooks"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "test.py", folder / "scripts")
    for path, name in (("tests", "tests"), ("tests/browser", "browser")):
        (folder / path / f"test_{name}.py").write_text(f"def test_small() -> None:\n    {said[name]}\n")
    (folder / "tests" / "js" / "small.test.mjs").write_text(
        "import assert from 'node:assert'; import test from 'node:test';\n"
        f"test('small', () => {said['node']});\n"
    )
    write_notebook(folder / "notebooks" / "small.ipynb", stored=said["notebooks"])
    return folder


def write_notebook(path: Path, stored: str) -> None:
    """Write a notebook with one cell that says 4, and ``stored`` as what it said before."""
    cell = nbformat.v4.new_code_cell("2 + 2", execution_count=1)
    result = nbformat.v4.new_output("execute_result", {"text/plain": stored}, execution_count=1)
    cell.outputs = [result]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)


def results(folder: Path) -> tuple[int, dict[str, str]]:
    """Run all; return the exit code and each runner's result from the closing lines."""
    alone = {**os.environ, "PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}  # each process more takes seconds to start
    done = subprocess.run(
        [sys.executable, "scripts/test.py"],
        cwd=folder,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    closing = done.stdout.rpartition("\nTests:\n")[2]
    assert re.search(r"\d+ s in all\s*$", closing), done.stdout + done.stderr
    return done.returncode, dict(re.findall(r"^  (\w+) +(passed|FAILED)  .*\d", closing, re.MULTILINE))


def test_it_passes_when_all_pass(tmp_path: Path) -> None:
    assert results(write_project(tmp_path, PASSES)) == (0, dict.fromkeys(RUNNERS, "passed"))


def test_all_run_and_it_fails_when_they_fail(tmp_path: Path) -> None:
    assert results(write_project(tmp_path, FAILS)) == (1, dict.fromkeys(RUNNERS, "FAILED"))
