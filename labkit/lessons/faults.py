"""Hidden faults: what a learner's handler must stand, for the checks of exercises.

    told = await undergo(handler, [{"order": 1}, {"order": 2}], twice)
    if told:
        return Finding(False, told)
    return Finding(await stock_left(lab) == 8, ...)  # then look at what the handler left behind

All faults are deterministic. A crash ends one run of the handler, as the end of its process would, with
``CancelledError``, which no ``except Exception`` catches: ``crash_first`` where it first waits,
``crash_in_step`` right after a step that you give the handler through ``dies_after``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["Fault", "Handler", "crash_first", "crash_in_step", "dies_after", "twice", "undergo", "unharmed"]

Handler = Callable[[Any], object]
"""The learner's function for one delivery, plain or async."""

Fault = Callable[[Handler, Any], Awaitable[None]]
"""Hands one delivery to a handler, as often and as badly as the fault wants."""

Result = TypeVar("Result")


async def undergo(handler: Handler, deliveries: Iterable[Any], fault: Fault) -> str:
    """Hand each delivery to a handler with this fault; return "", or in words the first error it raised."""
    for delivery in deliveries:
        try:
            await fault(handler, delivery)
        except Exception as error:  # the learner's own code; whatever it raised is feedback
            return f"Your handler raised {type(error).__name__}: {error}"
    return ""


async def unharmed(handler: Handler, delivery: Any) -> None:
    """Hand a delivery over once, and let the handler come to its end."""
    result = handler(delivery)
    if inspect.isawaitable(result):
        await result


async def twice(handler: Handler, delivery: Any) -> None:
    """Hand a delivery over twice, as a broker does whose acknowledgement was lost."""
    await unharmed(handler, delivery)
    await unharmed(handler, delivery)


async def crash_first(handler: Handler, delivery: Any) -> None:
    """Let the first run die where it first waits, and hand the delivery over again.

    What it asked of a broker just before may have been done, or not, as in a crash. A handler that never
    waits comes to its end, and gets the delivery again all the same: its acknowledgement was lost.
    """
    await _run(handler, delivery, dies_at_once=True)
    await unharmed(handler, delivery)


async def crash_in_step(handler: Handler, delivery: Any) -> None:
    """Hand a delivery over, and once more if the run died in a step that ``dies_after`` made mortal."""
    if await _run(handler, delivery):
        await unharmed(handler, delivery)


def dies_after(step: Callable[..., Awaitable[Result]]) -> Callable[..., Awaitable[Result]]:
    """Return ``step`` so that its first call does its work, and then the program that called it dies."""
    has_died = False

    @wraps(step)
    async def mortal(*given: Any, **named: Any) -> Result:
        nonlocal has_died
        result = await step(*given, **named)
        if not has_died:
            has_died = True
            raise asyncio.CancelledError("the program died here")
        return result

    return mortal


async def _run(handler: Handler, delivery: Any, dies_at_once: bool = False) -> bool:
    """Run a handler in a task of its own; return whether it died. Raises what the handler raised."""
    run = asyncio.create_task(unharmed(handler, delivery), name="a learner's handler")
    try:
        if dies_at_once:
            await asyncio.sleep(0)  # it runs up to where it first waits
            run.cancel()
        await asyncio.wait([run])
    finally:
        run.cancel()
    if not run.cancelled():
        run.result()
    return run.cancelled()
