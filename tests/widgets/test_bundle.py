"""Several JavaScript files become one module."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from labkit.widgets import bundle

STEMS = ("message_flow", "flow_player", "broker_cards", "guarantees_table")
DECLARED = re.compile(r"^(?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)

every_widget = pytest.mark.parametrize("stem", STEMS)


@every_widget
def test_a_module_needs_no_other_file(stem: str) -> None:
    assert not re.search(r"^import |^export .* from |import\(", bundle.script(stem), re.MULTILINE)


@every_widget
def test_no_name_is_declared_twice(stem: str) -> None:
    names = Counter(DECLARED.findall(bundle.script(stem)))
    assert len(names) > 10
    assert [name for name, times in names.items() if times > 1] == []


@every_widget
def test_nothing_but_the_widgets_own_file_exports(stem: str) -> None:
    own = (bundle.HERE / f"{stem}.js").read_text()
    assert bundle.script(stem).count("\nexport ") == own.count("\nexport ")


@every_widget
def test_text_is_written_as_text_and_nothing_is_fetched(stem: str) -> None:
    script = bundle.script(stem)
    assert not re.search(
        r"innerHTML|insertAdjacentHTML|document\.write|fetch\(|https?://(?!www\.w3\.org/)", script
    )


@every_widget
def test_styles_load_nothing(stem: str) -> None:
    assert not re.search(r"@import|url\(", bundle.style("tokens", stem))
