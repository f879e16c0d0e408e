"""README's table of patterns is what the recipes say, and is written only from tests that passed."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from labkit.brokers import BROKERS
from labkit.patterns import PATTERNS, recipes_of
from tests.project.test_structure import ROOT

PASSED = {(module, broker): Counter(passed=2) for module in PATTERNS.values() for broker in BROKERS}


@pytest.fixture(scope="module")
def script() -> Any:
    spec = spec_from_file_location("scripts_patterns", ROOT.parent / "scripts" / "patterns.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_says_what_the_recipes_say() -> None:
    command = [sys.executable, "scripts/patterns.py", "--check"]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", PATTERNS.values())
def test_every_pattern_has_a_recipe_for_every_broker_that_says_what_it_uses(module: str) -> None:
    recipes = recipes_of(module)
    assert tuple(recipes) == BROKERS
    for broker, recipe in recipes.items():
        assert recipe.native, f"{module} on {broker} does not say what is native"
        assert isinstance(recipe.built, str)


@pytest.mark.parametrize(
    ("classname", "name", "cell"),
    [
        ("tests.patterns.test_publish_subscribe", "test_it[nats]", ("publish_subscribe", "nats")),
        ("tests.patterns.test_publish_subscribe_crash", "test_it[3-kafka]", ("publish_subscribe", "kafka")),
        ("tests.patterns.test_publish_subscribe", "test_redis_is_named_but_no_parameter", None),
        ("tests.patterns.test_traffic", "test_it[nats]", None),
    ],
)
def test_a_test_belongs_to_the_cell_of_its_file_and_its_broker(
    script: Any, classname: str, name: str, cell: Any
) -> None:
    assert script.cell_of(classname, name) == cell


def test_a_cell_whose_tests_all_passed_is_no_problem(script: Any) -> None:
    assert list(script.problems_of(PASSED)) == []


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (Counter(), "no test"),
        (Counter(skipped=2), "2 skipped"),
        (Counter(passed=5, failure=1), "1 failure, 5 passed"),
        (Counter(passed=5, error=1), "1 error, 5 passed"),
    ],
)
def test_a_cell_without_tests_or_with_one_that_did_not_pass_is_a_problem(
    script: Any, ended: Counter[str], told: str
) -> None:
    problems = list(script.problems_of({**PASSED, ("publish_subscribe", "redis"): ended}))
    assert problems == [f"publish_subscribe on Redis: {told}"]


def test_how_tests_ended_is_counted_from_the_report(script: Any) -> None:
    case = '<testcase classname="tests.patterns.test_publish_subscribe" name="test_{}[nats]">{}</testcase>'
    ends = ["", "<system-out/>", "<failure/>", "<skipped/>", "<error/>"]
    cases = "".join(case.format(at, end) for at, end in enumerate(ends))
    report = ET.fromstring(f"<suite>{cases}</suite>")
    counted = script.count(report.iter("testcase"))
    assert counted["publish_subscribe", "nats"] == Counter(passed=2, failure=1, skipped=1, error=1)
    assert counted["publish_subscribe", "kafka"] == Counter()
