"""What a notebook shows: the live picture of messages, and a card for each broker."""

from __future__ import annotations

from labkit.topology import Lane
from labkit.widgets.broker_cards import BrokerCards
from labkit.widgets.message_flow import MessageFlow

__all__ = ["BrokerCards", "Lane", "MessageFlow"]
