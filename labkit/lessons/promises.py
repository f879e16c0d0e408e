"""What some kinds of channel promise, from the claims that the lab's own tests run on real brokers."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.brokers import TITLES, all_experiments
from labkit.errors import LabError
from labkit.guarantees import QUESTIONS, Aspect, Guarantees
from labkit.lessons.shown import Shown, table

__all__ = ["promises"]


def promises(*channels: str, about: Sequence[str] | None = None) -> Shown:
    """Return what these kinds of channel promise: a row for each question, a column for each channel.

    ``channels`` are named as in README's table, ``"nats stream"``; ``about`` picks questions, all if it is
    not given. Raises ``LabError``, which lists the right names, for one there is none of.

        promises("redis stream", "kafka topic", about=["replay", "dead letter"])
    """
    known = {_name(kind.guarantees): kind.guarantees for kind in all_experiments()}
    _check("channel", channels, list(known))
    _check("question", about or (), list(Aspect))
    asked = [Aspect(one) for one in about] if about else list(Aspect)
    return table(_row(aspect, [known[channel] for channel in channels]) for aspect in asked)


def _name(one: Guarantees) -> str:
    return f"{one.broker} {one.channel}"


def _row(aspect: Aspect, kinds: Sequence[Guarantees]) -> dict[str, str]:
    answers = {f"{TITLES[one.broker]} {one.channel}": one.claims[aspect] for one in kinds}
    told = {channel: f"{claim.answer}: {claim.words}" for channel, claim in answers.items()}
    return {"Question": QUESTIONS[aspect], **told}


def _check(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise LabError(f"There is no {what} {name!r}.", remedy=f"one of: {', '.join(known)}")
