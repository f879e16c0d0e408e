"""The work queue: each job to one of several workers, and to another if that one dies.

The story is an online shop. Each order needs an invoice, rendering one takes a while, and several workers
share the jobs. A job is an order: ``{"order": 7, "item": "bread", "amount": 3}``. The four recipes stand side
by side in ``recipes.py``, what they share in ``queue.py``.
"""

from labkit.patterns.work_queue.queue import Depth, WorkQueue
from labkit.patterns.work_queue.recipes import (
    RECIPES,
    KafkaWork,
    NatsWork,
    RabbitmqWork,
    RedisWork,
    lanes_of,
    open_queues,
)
from labkit.patterns.work_queue.worker import Acknowledge, Job, Worker, render

__all__ = [
    "RECIPES",
    "Acknowledge",
    "Depth",
    "Job",
    "KafkaWork",
    "NatsWork",
    "RabbitmqWork",
    "RedisWork",
    "WorkQueue",
    "Worker",
    "lanes_of",
    "open_queues",
    "render",
]
