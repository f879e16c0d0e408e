"""What a notebook shows: the live picture and its recordings, broker cards, the table of guarantees."""

from __future__ import annotations

from labkit.topology import Lane
from labkit.widgets.broker_cards import BrokerCards
from labkit.widgets.flow_player import FlowPlayer, play
from labkit.widgets.guarantees_table import GuaranteesTable
from labkit.widgets.message_flow import MessageFlow
from labkit.widgets.recording import Recording

__all__ = ["BrokerCards", "FlowPlayer", "GuaranteesTable", "Lane", "MessageFlow", "Recording", "play"]
