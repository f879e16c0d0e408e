"""Words that several checks use in what they tell the learner."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NOT_A_QUEUE", "listed"]

NOT_A_QUEUE = "Return the queue itself, as `await lab.rabbitmq.queue(...)` gives it."


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence: `` `a`, `b` and `c` ``, or "nothing"."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return quoted[0] if quoted else "nothing"
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"
