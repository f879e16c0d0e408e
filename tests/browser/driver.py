"""Playwright's own program, which drives the browser, and the one library for it that a bare Debian lacks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from playwright._impl._driver import compute_driver_executable, get_driver_env

from labkit.errors import InstallFailed
from labkit.home import programs_folder
from labkit.programs import debian
from labkit.programs.unpacked import fetch_once

PACKAGE = "libatomic1"
FOLDER = f"{PACKAGE}-{debian.SUITE}"
REMEDY = f"sudo apt-get install {PACKAGE} (Debian, Ubuntu), then run it again"


def lend_library() -> None:
    """Let the driver, when it is started from here, find the library if it was fetched."""
    for library in (programs_folder() / FOLDER).glob("usr/lib/*/libatomic.so.1"):
        os.environ["LD_LIBRARY_PATH"] = str(library.parent)


def install(say: Callable[[str], None]) -> None:
    """Make the driver run, with its library fetched if need be. Raises ``InstallFailed``."""
    lend_library()
    if not _complaint():
        return
    if debian.is_available():
        fetch_once(FOLDER, lambda scratch, home: debian.unpack([PACKAGE], _no_other, scratch, home, say))
        lend_library()
    if complaint := _complaint():
        raise InstallFailed(f"Playwright's driver does not run here ({complaint}).", remedy=REMEDY)


def _complaint() -> str:
    """Return what the driver says when it cannot run, empty if it runs."""
    node, script = compute_driver_executable()
    done = subprocess.run(
        [node, script, "--version"], env=get_driver_env(), capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def _no_other(package: str) -> bool:
    return False
