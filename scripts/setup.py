"""Set the lab up: `python3 scripts/setup.py`; `--test` and `--bench` add what those need.

This file is written so that every Python since 3.6 can read it, to be able to say that it is too old.
What is done stands in environment.py, beside it.
"""

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWER_NAMES = ("python3.13", "python3.12", "python3.11", "python3.14")


def find_newer() -> "str | None":
    """Return the path of a new enough Python that is on PATH under its own name and runs, or None."""
    check = f"import sys; sys.exit(sys.version_info[:2] < {OLDEST})"
    for name in NEWER_NAMES:
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", check], stderr=subprocess.DEVNULL) == 0:
            return path
    return None


def main() -> int:
    """Run the set-up with this Python, or with a newer one if this is too old."""
    if os.name == "nt":
        print("Set-up: the lab runs on Linux and macOS; on Windows run it in WSL 2.", file=sys.stderr)
        return 1
    if sys.version_info[:2] >= OLDEST:
        from environment import main_setup

        return main_setup(sys.argv[1:])
    newer = find_newer()
    if newer:
        os.execv(newer, [newer, os.path.realpath(__file__), *sys.argv[1:]])
    version = ".".join(str(number) for number in sys.version_info[:2])
    print(
        f"Set-up: the lab needs Python 3.11 or newer, and {sys.executable} is {version}: install a newer "
        "one, or name it with `make PYTHON=/path/to/python3.11`.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
