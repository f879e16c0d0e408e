"""What the browser tests need, fetched: `python -m tests.browser.fetch`, as `make test` does."""

from __future__ import annotations

import os
import sys
import time

from labkit.errors import LabError
from tests.browser import chromium, driver

_began = float(os.environ.get("LABKIT_BEGAN", time.monotonic()))  # set-up's start, if it runs this


def say(text: str) -> None:
    print(f"  {time.monotonic() - _began:5.1f} s  browser   {text}", flush=True)


def main() -> int:
    """Have a browser that can be driven; return 0, or 1 after saying how to get one."""
    try:
        browser = chromium.install(say)
        driver.install(say)
    except LabError as error:
        print(f"Set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"{browser} ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
