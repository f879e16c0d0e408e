"""README's table of patterns and brokers: what each recipe uses, and what it had to build.

python scripts/patterns.py            run the tests of every pattern on every broker, and say how they ended
python scripts/patterns.py --write    that, and write the table into README.md if every cell's tests passed
python scripts/patterns.py --check    run nothing; say whether README.md has what the recipes say
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from labkit.brokers import BROKERS, TITLES
from labkit.patterns import PATTERNS, recipes_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN = "<!-- patterns: written by `make patterns` -->"
END = "<!-- end of patterns -->"

Cell = tuple[str, str]
"""A pattern's module and a broker."""


def main() -> int:
    """Do what the arguments say; return 0 if all is well."""
    readme = README.read_text(encoding="utf-8")
    wanted = with_table(readme)
    if "--check" in sys.argv[1:]:
        if wanted != readme:
            print("README.md is stale: run `make patterns`")
        return int(wanted != readme)
    problems = list(problems_of(run_tests()))
    for problem in problems:
        print(problem)
    if "--write" in sys.argv[1:] and not problems:
        README.write_text(wanted, encoding="utf-8")
    return int(bool(problems))


def with_table(readme: str) -> str:
    """Return README with the table as it should be."""
    before, rest = readme.split(BEGIN)
    return before + "\n".join([BEGIN, *table(), END]) + rest.split(END)[1]


def table() -> Iterator[str]:
    """Yield the table's lines: a row for each pattern, a column for each broker."""
    yield f"| | {' | '.join(TITLES[broker] for broker in BROKERS)} |"
    yield "|---|" + "---|" * len(BROKERS)
    for title, module in PATTERNS.items():
        yield f"| **{title}** | {' | '.join(words_of(module, broker) for broker in BROKERS)} |"


def words_of(module: str, broker: str) -> str:
    """Return what one cell says."""
    recipe = recipes_of(module)[broker]
    built = f"<br>*Built:* {recipe.built}" if recipe.built else ""
    return f"{recipe.native[0].upper()}{recipe.native[1:]}{built}".replace("|", r"\|")


def run_tests() -> dict[Cell, Counter[str]]:
    """Run the patterns' tests on real brokers; return how those of each cell ended."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:nbval", "tests/patterns", f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False)
        if not report.is_file():
            sys.exit("pytest wrote no report; what it printed says why")
        return count(ET.parse(report).iter("testcase"))


def count(tests: Iterable[ET.Element]) -> dict[Cell, Counter[str]]:
    """Return how many tests of each cell ended how: "passed", "failure", "error" or "skipped"."""
    cells: dict[Cell, Counter[str]] = {
        (m, broker): Counter() for m in PATTERNS.values() for broker in BROKERS
    }
    for test in tests:
        if (cell := cell_of(test.get("classname", ""), test.get("name", ""))) in cells:
            worst = next(
                (child.tag for child in test if child.tag in ("failure", "error", "skipped")), "passed"
            )
            cells[cell][worst] += 1
    return cells


def cell_of(classname: str, name: str) -> Cell | None:
    """Return the cell of a test in ``tests/patterns/test_<pattern>*.py`` with a broker in its id."""
    file = re.search(r"\.test_(\w+)", classname)
    words = re.split(r"[\[\]-]", name)
    broker = next((broker for broker in BROKERS if broker in words), None)
    if file is None or broker is None:
        return None
    return next(((module, broker) for module in PATTERNS.values() if file[1].startswith(module)), None)


def problems_of(cells: Mapping[Cell, Counter[str]]) -> Iterator[str]:
    """Yield a line for each cell that cannot be in the table: a test did not pass, or there is none."""
    for (module, broker), ended in cells.items():
        told = ", ".join(f"{number} {how}" for how, number in sorted(ended.items()))
        if set(ended) != {"passed"}:
            yield f"{module} on {TITLES[broker]}: {told or 'no test'}"


if __name__ == "__main__":
    sys.exit(main())
