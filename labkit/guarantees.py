"""What a kind of channel promises, as data: ten questions, and each kind's answers.

The answers stand beside the experiments that show them, in each broker's ``experiments``; a test runs every
experiment on the real broker and fails if it sees something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ACTS", "QUESTIONS", "WAYS", "Answer", "Aspect", "Claim", "Guarantees"]


class Aspect(StrEnum):
    """One thing to ask about a channel."""

    CONFIRM = "confirm"
    ACKNOWLEDGEMENT = "acknowledgement"
    ORDERING = "ordering"
    PERSISTENCE = "persistence"
    REPLAY = "replay"
    REDELIVERY = "redelivery"
    DUPLICATES = "duplicates"
    BACKPRESSURE = "backpressure"
    DEAD_LETTER = "dead letter"
    DELAY = "delay"
    DEDUP = "dedup"


QUESTIONS: Mapping[Aspect, str] = {
    Aspect.CONFIRM: "Does the broker answer a publish once it has the message?",
    Aspect.ACKNOWLEDGEMENT: "Does a subscriber tell the broker that it is done with a message?",
    Aspect.ORDERING: "Does one subscriber get one publisher's messages in the order they were sent?",
    Aspect.PERSISTENCE: "Is a message that nobody has read yet there after the broker got SIGKILL?",
    Aspect.REPLAY: "Can a message be read again that was read and done with?",
    Aspect.REDELIVERY: "Does a message come again by itself if its subscriber dies before it is done?",
    Aspect.DUPLICATES: "Can a message that was published once arrive twice?",
    Aspect.BACKPRESSURE: "Is a subscriber that is slow given time, with nothing dropped?",
    Aspect.DEAD_LETTER: "Is a message put aside that nobody can work on?",
    Aspect.DELAY: "Can a message be held back for a time?",
    Aspect.DEDUP: "Is a message dropped that was published twice?",
}


class Answer(StrEnum):
    """How a kind of channel answers one question."""

    YES = "yes"  # the broker does it
    BY_HAND = "by hand"  # the broker has the parts, and a program puts them together
    NO = "no"


@dataclass(frozen=True, slots=True)
class Claim:
    """One answer, with the few words that say how, within what bounds, or why not."""

    answer: Answer
    words: str


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What one kind of channel answers to every question.

    ``since`` is the oldest version of the broker it holds for, as its documentation says; ``shown_on`` the
    version it was last shown on.
    """

    broker: str
    channel: str
    since: str
    shown_on: str
    claims: Mapping[Aspect, Claim]


WAYS = ("process", "container", "external")
"""How a broker may run, as ``Server.how`` says it."""

ACTS: Mapping[str, tuple[str, str, str]] = {
    "kill": (
        "SIGKILL to the broker and its helpers",
        "SIGKILL to every process of the container, which stays, with its data",
        "not the lab's to do",
    ),
    "pause": (
        "SIGSTOP; the system still takes connections, nobody answers",
        "the engine freezes every process; its proxy still takes connections, nobody answers",
        "not the lab's to do",
    ),
    "resume": ("SIGCONT", "the engine lets them go on", "not the lab's to do"),
    "restart": (
        "the same ports and data; refuses connections until it is ready",
        "the same ports and data; until it is ready, the engine's proxy takes connections and drops them",
        "not the lab's to do",
    ),
    "a slow subscriber": (
        "what waits for it is in the system's buffers, then in the broker",
        "the engine's proxy stands between, with buffers of its own: some ten megabytes more wait unseen",
        "as whoever runs it has set it up",
    ),
    "end of the lab": (
        "killed with its owner, however that ended; the folder goes",
        "removed with its owner, however that ended; if guardian and cleaner are killed too, by the next lab",
        "left running",
    ),
}
"""What happens to a broker, by ``WAYS``. The contract tests run in all three; a broker of somebody else's is
killed there by that somebody."""
