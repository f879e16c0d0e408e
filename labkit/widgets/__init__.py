"""What a notebook shows: the live picture of messages, a card for each broker, the table of guarantees."""

from __future__ import annotations

from labkit.topology import Lane
from labkit.widgets.broker_cards import BrokerCards
from labkit.widgets.guarantees_table import GuaranteesTable
from labkit.widgets.message_flow import MessageFlow

__all__ = ["BrokerCards", "GuaranteesTable", "Lane", "MessageFlow"]
