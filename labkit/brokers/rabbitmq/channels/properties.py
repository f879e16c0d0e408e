"""What goes with a message besides its payload: AMQP's properties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from pamqp.commands import Basic

__all__ = ["Properties", "native_properties"]

PERSISTENT, TRANSIENT = 2, 1


class Properties(TypedDict, total=False):
    """What every ``publish`` takes by name, each as AMQP calls it."""

    headers: Mapping[str, Any]
    persistent: bool
    """Whether RabbitMQ writes the message to disk, which it does unless told not to."""
    priority: int
    """0 to 255; a classic queue made with ``max_priority`` hands out the higher first."""
    expiration: float
    """Seconds in which it must be taken. RabbitMQ looks at it only at the head of a queue."""
    correlation_id: str
    message_id: str
    timestamp: datetime
    """When it was made, as the publisher says; to the second."""
    reply_to: str
    type: str
    content_type: str
    app_id: str


def native_properties(given: Properties) -> Basic.Properties:
    """Return the properties as pamqp sends them."""
    expiration = given.get("expiration")
    headers = given.get("headers")
    return Basic.Properties(
        content_type=given.get("content_type"),
        headers=dict(headers) if headers else None,
        delivery_mode=PERSISTENT if given.get("persistent", True) else TRANSIENT,
        priority=given.get("priority"),
        correlation_id=given.get("correlation_id"),
        reply_to=given.get("reply_to"),
        expiration=None if expiration is None else str(int(expiration * 1000)),
        message_id=given.get("message_id"),
        timestamp=given.get("timestamp"),
        message_type=given.get("type"),
        app_id=given.get("app_id"),
    )
