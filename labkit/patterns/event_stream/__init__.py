"""Event streaming: what happened is appended to a log, kept, and read again. Four recipes, side by side.

The story is the shop's stock ledger: every arrival, sale and return is an event, and how much is in stock is
a view of these events. What the four share is in ``log.py``; each broker's recipe has a file of its name.
"""

from labkit.patterns.event_stream.kafka import KafkaLog
from labkit.patterns.event_stream.log import Event, EventLog, Handler, Reader
from labkit.patterns.event_stream.nats import NatsLog
from labkit.patterns.event_stream.rabbitmq import RabbitmqLog
from labkit.patterns.event_stream.recipes import RECIPES, lanes_of, open_logs
from labkit.patterns.event_stream.redis import RedisLog

__all__ = [
    "RECIPES",
    "Event",
    "EventLog",
    "Handler",
    "KafkaLog",
    "NatsLog",
    "RabbitmqLog",
    "Reader",
    "RedisLog",
    "lanes_of",
    "open_logs",
]
