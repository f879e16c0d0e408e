"""The page to just look at is small, and plays the kept recording with today's player."""

from __future__ import annotations

import subprocess
import sys

from labkit.widgets import Recording
from tests.project.test_structure import ROOT

DOCS = ROOT.parent / "docs"
MOST_BYTES = 400_000


def test_the_page_is_what_its_recording_and_the_player_make() -> None:
    command = [sys.executable, "scripts/recordings.py", "--check"]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_small() -> None:
    assert (DOCS / "look.html").stat().st_size < MOST_BYTES


def test_every_kept_recording_can_be_played() -> None:
    paths = sorted((DOCS / "recordings").iterdir())
    assert paths
    for path in paths:
        recording = Recording.load(path)
        assert recording.seconds > 1
        assert all(recording.brokers.values())
