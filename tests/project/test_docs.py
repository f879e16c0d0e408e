"""The code in the documentation runs, on real brokers, and does what it says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.project.test_structure import ROOT

DOCS = ROOT.parent / "docs"
BROKERS = ("nats", "rabbitmq", "redis", "kafka")


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


async def run(code: str, names: dict[str, Any]) -> None:
    compiled = compile(code, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # as a notebook runs a cell
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in DOCS.glob("*.md")])
async def test_every_block_of_code_runs(page: Path) -> None:
    for broker in BROKERS:
        require(broker)
    names: dict[str, Any] = {}
    try:
        for code in blocks(page):
            await run(code, names)
    finally:
        if "lab" in names:
            await names["lab"].stop()
