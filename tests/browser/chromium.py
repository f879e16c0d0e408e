"""The browser the tests use: one on PATH, else Debian's Chromium unpacked into the lab's own folder.

Nothing is installed in the system.
"""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from labkit.errors import InstallFailed, ProgramMissing
from labkit.home import programs_folder
from labkit.programs import debian
from labkit.programs.unpacked import fetch_once

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
FOLDER = f"chromium-{debian.SUITE}"
PACKAGES = ("chromium", "chromium-common", "fontconfig-config", "fonts-dejavu-core", "fonts-dejavu-mono")
HEAVY = ("libllvm", "libz3")  # for drivers of graphics cards, which a headless browser does not load
REMEDY = "sudo apt-get install chromium (Debian, Ubuntu), or install Chrome, then run it again"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
CHECK_SECONDS = 60.0

LAUNCHER = """\
#!/bin/sh
# Chromium as it was unpacked here, with the libraries and fonts beside it.
here=$(cd "$(dirname "$0")" && pwd)
export FONTCONFIG_FILE="$here/fonts.conf"
export LD_LIBRARY_PATH="$(echo "$here"/usr/lib/*-linux-gnu)/pulseaudio"
exec "$here/usr/lib/chromium/chromium" "$@"
"""

FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{share}/fonts</dir>
  <include>{share}/fontconfig/conf.avail/60-latin.conf</include>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def find() -> Path:
    """Return the browser's executable. Raises ``ProgramMissing`` with the command that gets one."""
    on_path = [Path(path) for path in map(shutil.which, NAMES) if path]
    unpacked = programs_folder() / FOLDER / "chromium"
    for path in (*on_path, *APPLICATIONS, unpacked):
        if path.is_file():
            return path
    raise ProgramMissing("No Chromium or Chrome was found for the browser tests.", remedy=REMEDY)


def install(say: Callable[[str], None]) -> Path:
    """Return the browser's executable, fetched if there was none. Raises ``SetupError``."""
    try:
        return find()
    except ProgramMissing:
        if not debian.is_available():
            raise
    folder = fetch_once(FOLDER, lambda scratch, home: _fill(scratch, home, say))
    try:
        _check(folder / "chromium")
    except InstallFailed:
        shutil.rmtree(folder)
        raise
    return folder / "chromium"


def _fill(scratch: Path, home: Path, say: Callable[[str], None]) -> None:
    debian.unpack(["chromium", "fonts-dejavu-core"], _is_needed, scratch, home, say)
    fonts = FONTS.format(share=html.escape(str(home / "usr" / "share")))
    for name, text in (("chromium", LAUNCHER), ("fonts.conf", fonts)):
        (scratch / name).write_text(text)
    (scratch / "chromium").chmod(0o755)


def _is_needed(package: str) -> bool:
    return package in PACKAGES or (debian.is_library(package) and not package.startswith(HEAVY))


def _check(browser: Path) -> None:
    """Raise ``InstallFailed`` unless the browser can open a page and take its picture."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        argv = [str(browser), *FLAGS, f"--user-data-dir={folder}/profile", f"--screenshot={picture}"]
        done = subprocess.run(
            [*argv, "data:text/html,<h1>Hello"],
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": folder},
            timeout=CHECK_SECONDS,
            check=False,
        )
        if not picture.is_file() or "Could not find any font" in done.stderr:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise InstallFailed(f"Debian's Chromium does not run here ({last}).", remedy=REMEDY)
