"""Where the lab keeps things on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

__all__ = ["home", "labs_folder", "programs_folder"]


def home() -> Path:
    """Return the lab's own folder: ``LABKIT_HOME`` if set, else the platform's place for user data."""
    chosen = os.environ.get("LABKIT_HOME")
    return Path(chosen).expanduser().resolve() if chosen else user_data_path("broker-lab", appauthor=False)


def programs_folder() -> Path:
    """Return where ``labkit install`` puts programs that it fetches."""
    return home() / "programs"


def labs_folder() -> Path:
    """Return where running labs keep their brokers' data, one folder each."""
    return home() / "labs"
