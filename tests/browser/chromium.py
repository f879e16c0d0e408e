"""The browser the tests use: one on PATH, else Debian's Chromium unpacked into the lab's own folder.

`make test` runs this file, which fetches the browser if none is here. Nothing is installed in the system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labkit.errors import InstallFailed, LabError, ProgramMissing
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
  <dir prefix="relative">usr/share/fonts</dir>
  <include prefix="relative">usr/share/fontconfig/conf.avail/60-latin.conf</include>
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


def install() -> Path:
    """Return the browser's executable, fetched if there was none. Raises ``SetupError``."""
    try:
        return find()
    except ProgramMissing:
        if not debian.is_available():
            raise
    folder = fetch_once(FOLDER, _fill)
    try:
        _check(folder / "chromium")
    except InstallFailed:
        shutil.rmtree(folder)
        raise
    return folder / "chromium"


def _fill(scratch: Path, home: Path) -> None:
    debian.unpack(["chromium", "fonts-dejavu-core"], _is_needed, scratch, home, _say)
    for name, text in (("chromium", LAUNCHER), ("fonts.conf", FONTS)):
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
            timeout=CHECK_SECONDS,
            check=False,
        )
        if not picture.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise InstallFailed(f"Debian's Chromium does not run here ({last}).", remedy=REMEDY)


_began = float(os.environ.get("LABKIT_BEGAN", time.monotonic()))  # set-up's start, if it runs this


def _say(text: str) -> None:
    print(f"  {time.monotonic() - _began:5.1f} s  browser   {text}", flush=True)


def main() -> int:
    """Have a browser; return 0, or 1 after one sentence that says how to get one."""
    try:
        _say(f"{install()} ready")
    except LabError as error:
        print(f"Set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
