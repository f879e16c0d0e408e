"""What several tests need: waiting for a condition, and names that no other test uses."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["ends_with_us", "unique", "until", "until_told"]

Answer = TypeVar("Answer")

_numbers = itertools.count(1)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``condition()`` is true. ``seconds`` is only there to end a test that would hang."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def until_told(
    question: Callable[[], Awaitable[Answer]],
    wanted: Callable[[Answer], object] = bool,
    seconds: float = 30.0,
    pause: float = 0.01,
) -> Answer:
    """Ask a broker until its answer is what is wanted, and return it; ``seconds`` ends what would hang."""
    async with asyncio.timeout(seconds):
        while not wanted(answer := await question()):  # noqa: ASYNC110  # brokers tell nobody by themselves
            await asyncio.sleep(pause)
    return answer


def unique(word: str) -> str:
    """Return a name that no other test of this run uses: brokers are shared, their channels are not."""
    return f"{word}{next(_numbers)}"


def ends_with_us() -> tuple[str, ...]:
    """Return the words before a command that end it (SIGTERM) when this process is gone, however it went."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
