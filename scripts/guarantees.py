"""Write what each kind of channel promises into README.md and docs/guarantees.md.

Both come from the data that the contract tests run.

python scripts/guarantees.py            write both
python scripts/guarantees.py --check    say whether they are up to date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.brokers import TITLES, all_experiments
from labkit.guarantees import ACTS, QUESTIONS, WAYS, Aspect, Guarantees

ROOT = Path(__file__).parents[1]
BEGIN = "<!-- guarantees: written by `make guarantees` -->"
END = "<!-- end of guarantees -->"

PAGE_HEAD = """# What each kind of channel promises

Written by `make guarantees` from the claims in `labkit/brokers/*/experiments`. Each answer has an experiment
beside it there, and a test that runs it on the real broker (`tests/contract/test_guarantees.py`).

*Yes*: the broker does it. *By hand*: the broker has the parts, and a program puts them together; the lab's
channels do. *No*: it does not, and the experiment shows that it does not.
"""


def all_guarantees() -> list[Guarantees]:
    """Return what every kind of channel promises, broker by broker."""
    return [kind.guarantees for kind in all_experiments()]


def name_of(one: Guarantees) -> str:
    """Return how a table calls this kind of channel: ``NATS subject``."""
    return f"{TITLES[one.broker]} {one.channel}"


def markdown_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; the first row is its head."""
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in body:
        yield f"| {' | '.join(row)} |"


def overview() -> str:
    """Return the README's table: a row for each kind of channel, a column for each question."""
    head = ["", *(aspect.capitalize() for aspect in Aspect)]
    rows = [[name_of(one), *(one.claims[aspect].answer for aspect in Aspect)] for one in all_guarantees()]
    return "\n".join([BEGIN, *markdown_table([head, *rows]), END])


def page() -> str:
    """Return docs/guarantees.md: a section for each kind of channel, with all its words."""
    kinds = (line for one in all_guarantees() for line in section(one))
    return "\n".join([PAGE_HEAD, *kinds, *acts()])


def acts() -> Iterator[str]:
    """Yield the lines of the section on how brokers run."""
    yield "## Kill, pause and restart, by how a broker runs"
    yield ""
    yield "What each kind of channel promises was shown to be the same in all three."
    yield ""
    rows = [[act.capitalize(), *words] for act, words in ACTS.items()]
    yield from markdown_table([["", *(f"As {way}" for way in WAYS)], *rows])
    yield ""


def section(one: Guarantees) -> Iterator[str]:
    """Yield the lines of one kind's section."""
    title = TITLES[one.broker]
    yield f"## {name_of(one)}"
    yield ""
    yield f"{title} {one.since} or newer; shown on {title} {one.shown_on}."
    yield ""
    rows = [[QUESTIONS[aspect], claim.answer, claim.words] for aspect, claim in one.claims.items()]
    yield from markdown_table([["Question", "Answer", "How"], *rows])
    yield ""


def pages() -> dict[Path, str]:
    """Return what each file should hold."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return {
        ROOT / "README.md": before + overview() + after,
        ROOT / "docs" / "guarantees.md": page(),
    }


def main() -> None:
    """Write the pages, or with ``--check`` exit with 1 if one is stale."""
    stale = [
        path
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make guarantees`")
        sys.exit(1 if stale else 0)
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")


if __name__ == "__main__":
    main()
