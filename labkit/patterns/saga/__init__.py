"""The saga: one order, several databases, no common transaction. Four transports, two ways to lead it.

The story is an online shop. An order reserves stock, holds the money, charges it (the pivot), packs and
ships. Up to the pivot each step has a compensation; from there on steps are only retried.
"""

from labkit.patterns.saga.books import PRICE, Books, NotConserved
from labkit.patterns.saga.orders import Listener, NaiveCheckout, Orchestrator, Orders, Support
from labkit.patterns.saga.program import CrashPoint, Program, Trouble, World
from labkit.patterns.saga.services import Payment, Service, Shipping, Stock
from labkit.patterns.saga.shop import SagaShop, lanes_of, on_all, open_saga_shops
from labkit.patterns.saga.steps import STEPS, Outcome, Phase, Saga, Step
from labkit.patterns.saga.transport import (
    RECIPES,
    KafkaTransport,
    NatsTransport,
    RabbitmqTransport,
    RedisTransport,
    Transport,
)

__all__ = [
    "PRICE",
    "RECIPES",
    "STEPS",
    "Books",
    "CrashPoint",
    "KafkaTransport",
    "Listener",
    "NaiveCheckout",
    "NatsTransport",
    "NotConserved",
    "Orchestrator",
    "Orders",
    "Outcome",
    "Payment",
    "Phase",
    "Program",
    "RabbitmqTransport",
    "RedisTransport",
    "Saga",
    "SagaShop",
    "Service",
    "Shipping",
    "Step",
    "Stock",
    "Support",
    "Transport",
    "Trouble",
    "World",
    "lanes_of",
    "on_all",
    "open_saga_shops",
]
