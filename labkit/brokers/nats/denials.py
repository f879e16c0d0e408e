"""What the server says this user may not do, and who waits to hear of it.

NATS answers neither a publish nor a subscribe. It sends a ``-ERR`` some time after a forbidden one, which
nats-py hands to its error callback. Here each is kept until the caller it concerns has heard of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labkit.errors import NotAllowed, PublishNotAllowed

__all__ = ["REPLIES", "Denials", "publishing", "subscribing"]

VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)
REPLIES = "subscription to _inbox."
"""nats-py subscribes once for the replies to all its questions, so a refusal of that stays true."""

MOST = 1000
MOST_ALLOWED = 10_000


def publishing(subject: str) -> str:
    """Return how a refused publish to this subject is known here."""
    return f"publish to {subject}".lower()


def subscribing(subject: str) -> str:
    """Return how a refused subscribe to this subject is known here."""
    return f"subscription to {subject}".lower()


class Denials:
    """Refusals that nobody has been told of yet, by what was refused."""

    def __init__(self) -> None:
        self.listeners: set[Callable[[str, NotAllowed], None]] = set()
        """Called with what was refused, and the error to raise."""
        self.on_loss: set[Callable[[], None]] = set()
        """Called when the connection is lost."""
        self.allowed: set[str] = set()
        """What the server is known to have let pass on this connection."""
        self.losses = 0
        """How often the connection was lost."""
        self.unheard: dict[str, NotAllowed] = {}
        """The errors to raise, by what was refused."""
        self._waiting: dict[asyncio.Timeout, tuple[str, ...]] = {}

    def read(self, error: Exception) -> NotAllowed | None:
        """Return what the native error means, if it is a refusal; None if it is something else."""
        found = VIOLATION.search(str(error))
        if found is None:
            return None
        is_publish = found[1].lower() == "publish"
        act = "publish" if is_publish else "subscribe"
        denied = (PublishNotAllowed if is_publish else NotAllowed)(
            f"This user may not {act} to {found[2]!r}.",
            broker="nats",
            remedy="grant it under `permissions` in the server's configuration, or be another user",
        )
        denied.__cause__ = error
        return denied

    def note(self, denied: NotAllowed) -> None:
        """Keep a refusal for its caller, and end the waiting of whoever waits for just that."""
        found = VIOLATION.search(str(denied.__cause__))
        assert found is not None
        act = f"{found[1]} to {found[2]}".lower()
        self.allowed.discard(act)
        if len(self.unheard) < MOST:
            self.unheard[act] = denied
        for limit, acts in self._waiting.items():
            if _is_one_of(act, acts):
                limit.reschedule(asyncio.get_running_loop().time())
        for listener in tuple(self.listeners):
            listener(act, denied)

    def lose_connection(self) -> None:
        """End the waiting of everybody: the answers went with the connection."""
        self.losses += 1
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())
        for listener in tuple(self.on_loss):
            listener()

    def allow(self, act: str) -> None:
        """Take note that the server has let this pass."""
        if len(self.allowed) >= MOST_ALLOWED:
            self.allowed.clear()
        self.allowed.add(act)

    def take(self, *acts: str) -> NotAllowed | None:
        """Return a refusal of one of these, and forget it; None if there is none.

        What ends in a dot stands for all that begin with it.
        """
        for act, denied in self.unheard.items():  # few, if any
            if _is_one_of(act, acts):
                if not act.startswith(REPLIES):
                    del self.unheard[act]
                return denied
        return None

    def take_any(self) -> NotAllowed | None:
        """Return the oldest refusal, and forget it; None if there is none."""
        return self.unheard.pop(next(iter(self.unheard)), None) if self.unheard else None

    @contextmanager
    def watched(self, limit: asyncio.Timeout, *acts: str) -> Iterator[None]:
        """End this time limit at once if the server refuses one of these meanwhile."""
        self._waiting[limit] = acts
        try:
            yield
        finally:
            del self._waiting[limit]

    def forget(self) -> None:
        """Forget everything: a new connection may be another user's, or the rules may have changed."""
        self.unheard.clear()
        self.allowed.clear()


def _is_one_of(act: str, acts: tuple[str, ...]) -> bool:
    return any(act == one or (one.endswith(".") and act.startswith(one)) for one in acts)
