"""The four recipes, and a log on each broker of a lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.brokers.client import BrokerClient
from labkit.patterns.event_stream.kafka import KafkaLog
from labkit.patterns.event_stream.log import EventLog
from labkit.patterns.event_stream.nats import NatsLog
from labkit.patterns.event_stream.rabbitmq import RabbitmqLog
from labkit.patterns.event_stream.redis import RedisLog
from labkit.topology import Lane

__all__ = ["RECIPES", "lanes_of", "open_logs"]

RECIPES: Mapping[str, type[EventLog[Any]]] = {
    "nats": NatsLog,
    "rabbitmq": RabbitmqLog,
    "redis": RedisLog,
    "kafka": KafkaLog,
}


async def open_logs(
    clients: Mapping[str, BrokerClient], name: str = "stock", partitions: int = 1, *, compacted: bool = False
) -> dict[str, EventLog[Any]]:
    """Return a log on each of these brokers, open, by name: ``await open_logs(lab.clients)``.

    Where brokers cannot compact, ``compacted`` leaves them out.
    """
    chosen = {broker: RECIPES[broker] for broker in clients if broker in RECIPES}
    return {
        broker: await recipe(clients[broker], name, partitions, compacted=compacted).open()
        for broker, recipe in chosen.items()
        if not (compacted and recipe.no_compaction)
    }


async def lanes_of(logs: Mapping[str, EventLog[Any]]) -> list[Lane]:
    """Return a row for each broker, for the live picture: ``lab.flow(*await lanes_of(logs))``."""
    return [await one.lane() for one in logs.values()]
