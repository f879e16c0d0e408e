"""What a queue can be told when it is made, in our words and in RabbitMQ's."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from labkit.errors import Unsupported

__all__ = ["DeadLetter", "Overflow", "QueueKind", "QueueOptions", "queue_arguments"]

QueueKind = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
DeadLetter = bool | tuple[str, str]
"""True for a queue of its own beside it, or an exchange with the key to publish to it."""


class QueueOptions(TypedDict, total=False):
    """What ``client.queue`` takes by name."""

    message_ttl: float
    """Seconds after which a message that nobody took is dropped, or dead-lettered."""
    expires: float
    """Seconds without any use after which the whole queue goes, its messages with it.

    To declare it is a use, and so is to ask for its ``depth``.
    """
    max_length: int
    max_bytes: int
    overflow: Overflow
    """What happens to a message too many: the oldest is dropped (``drop-head``), or the new one refused."""
    max_priority: int
    single_active_consumer: bool
    """Whether one subscriber gets everything, and the others wait for it to go."""
    dead_letter: DeadLetter
    delivery_limit: int
    """How often a message may come back before it is put aside; -1 for no limit. Quorum queues have 20."""


NAMES = {
    "max_length": "x-max-length",
    "max_bytes": "x-max-length-bytes",
    "overflow": "x-overflow",
    "max_priority": "x-max-priority",
    "single_active_consumer": "x-single-active-consumer",
    "delivery_limit": "x-delivery-limit",
}
IN_MILLISECONDS = {"message_ttl": "x-message-ttl", "expires": "x-expires"}


def queue_arguments(name: str, kind: QueueKind, options: QueueOptions) -> dict[str, Any]:
    """Return RabbitMQ's arguments for these options. Raises ``Unsupported`` for what it has not."""
    _refuse_what_it_has_not(kind, options)
    arguments: dict[str, Any] = {"x-queue-type": kind}
    for option, value in options.items():
        if option in NAMES:
            arguments[NAMES[option]] = value
        elif option in IN_MILLISECONDS:
            assert isinstance(value, float | int)
            arguments[IN_MILLISECONDS[option]] = int(value * 1000)
    return {**arguments, **_dead_letter_arguments(name, options.get("dead_letter", False))}


def _dead_letter_arguments(name: str, dead_letter: DeadLetter) -> dict[str, str]:
    if dead_letter is False:
        return {}
    # The default exchange is always there; a dead-letter exchange that is not drops without a word.
    exchange, key = ("", f"{name}.dlq") if dead_letter is True else dead_letter
    return {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": key}


def _refuse_what_it_has_not(kind: QueueKind, options: QueueOptions) -> None:
    if kind == "classic" and "delivery_limit" in options:
        raise Unsupported(
            "A classic queue does not count deliveries, so it has no delivery limit.",
            broker="rabbitmq",
            remedy="kind='quorum', or count attempts in a header of your own",
        )
    if kind == "quorum" and "max_priority" in options:
        raise Unsupported(
            "A quorum queue has two priorities, up to 4 and above, and no maximum to set.",
            broker="rabbitmq",
            remedy="kind='classic', or publish with priority=0 and priority=5",
        )
    if kind == "quorum" and options.get("overflow") == "reject-publish-dlx":
        raise Unsupported(
            "A quorum queue cannot dead-letter what it refuses.",
            broker="rabbitmq",
            remedy="overflow='reject-publish', or kind='classic'",
        )
