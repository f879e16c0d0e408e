"""Programs inside Python wheels, which pip puts into the lab's own environment."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

__all__ = ["file_in_wheel"]


def file_in_wheel(distribution: str, name: str) -> Path | None:
    """Return the file of this name that a distribution installed, None if there is none."""
    try:
        listed = files(distribution) or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(entry.locate())).resolve() for entry in listed if entry.name == name)
    return next((path for path in paths if path.is_file()), None)
