"""A home with nothing in it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab's home where nothing was fetched yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LABKIT_HOME", str(home))
    return home
