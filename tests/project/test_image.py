"""The lab's own image and Binder's files, as far as can be said without building them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from labkit.cli import main

ROOT = Path(__file__).parents[2]
LAST_STAGE = (ROOT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]


def test_the_image_runs_as_an_ordinary_user() -> None:
    users = re.findall(r"^USER (\S+)", LAST_STAGE, re.MULTILINE)
    assert users == ["learner"]
    assert LAST_STAGE.index("USER") < LAST_STAGE.index("CMD")


def test_what_the_image_has_stays_where_it_was_made() -> None:
    copied = re.findall(r"COPY --from=build --chown=learner (\S+) (\S+)", LAST_STAGE)
    assert copied
    assert all(source == target for source, target in copied)


def test_the_images_command_is_one_of_the_labs(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r'CMD \["labkit", "lab", (.*)\]', LAST_STAGE)
    assert found
    with pytest.raises(SystemExit):
        main(["lab", "--help"])
    help_text = capsys.readouterr().out
    assert all(option in help_text for option in re.findall(r"--[\w-]+", found[1]))


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binder_can_run_its_files(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
