"""The checks of all exercises, one file a lesson.

Each asks the brokers what they hold; none reads what a cell printed.
"""

from collections.abc import Mapping
from types import MappingProxyType

from labkit.lessons.checks import (
    event_streaming,
    meet_the_brokers,
    publish_subscribe,
    request_reply,
    saga,
    work_queue,
)
from labkit.lessons.exercise import Check

__all__ = ["CHECKS"]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        **publish_subscribe.CHECKS,
        **meet_the_brokers.CHECKS,
        **work_queue.CHECKS,
        **request_reply.CHECKS,
        **event_streaming.CHECKS,
        **saga.CHECKS,
    }
)
