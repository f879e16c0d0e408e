"""Saga with NATS JetStream: an order over three programs with three databases, all or nothing.

What it shows:
  - an orchestrator leads each order: reserve the stock, take the payment, ship. Commands and replies are
    messages in a stream; every program has its own subject and a durable consumer;
  - one order goes through. One payment is refused: the stock is released. One parcel is refused: the payment
    is refunded, then the stock released, in reverse;
  - every message is sent twice on purpose. An inbox makes that harmless, and an outbox sends what was done.
Nobody dies here, and everybody answers: what becomes of crashes and time-outs, the lesson shows.

Install:  pip install nats-py
Run:      python 06_saga_nats.py nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple
from uuid import uuid4

from nats.aio.client import Client
from nats.errors import TimeoutError as NothingYet
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig

DEFAULT_ADDRESS = "nats://127.0.0.1:4222"
DEADLINE = 10.0
COPIES = 2  # How often each message is sent.
PRICE = 10
FORWARD, BACK = 1, -1
ORDERS = {"1": "Ann", "2": "Bob", "3": "Cid"}
START = {
    "stock": {"shelf": 5, "sold": 0},
    "payment": {"Ann": 10, "Bob": 4, "Cid": 10, "shop": 0},  # Bob has too little.
    "shipping": {"Ann": 1, "Bob": 1, "Cid": 0, "shipped": 0},  # No van goes to Cid.
}
TABLES = """
CREATE TABLE inbox (id TEXT PRIMARY KEY);
CREATE TABLE outbox (n INTEGER PRIMARY KEY, address TEXT, body TEXT, is_sent INTEGER DEFAULT 0);
CREATE TABLE amounts (name TEXT PRIMARY KEY, amount INTEGER);
CREATE TABLE sagas (number TEXT PRIMARY KEY, at INTEGER, way INTEGER);
"""
Message = dict[str, str]


class Step(NamedTuple):
    """What a program can do: move an amount from one place to another, and move it back."""

    program: str
    do: str
    undo: str
    source: str  # If empty, it is the customer's own.
    target: str
    amount: int


STEPS = (
    Step("stock", "reserve", "release", "shelf", "sold", 1),
    Step("payment", "pay", "refund", "", "shop", PRICE),
    Step("shipping", "ship", "", "", "shipped", 1),  # The pivot: when this is done, nothing is undone.
)


class Program:
    """A program with a database of its own. (In a file, it would outlive the program.)"""

    def __init__(self, name: str) -> None:
        self.name, self.deliveries = name, 0
        self.database = sqlite3.connect(":memory:")
        self.database.executescript(TABLES)

    def take(self, message: Message) -> None:
        """Work on a message if it is new. Inbox, work and outbox: one transaction, all or nothing."""
        self.deliveries += 1
        with self.database:
            if self.database.execute("INSERT OR IGNORE INTO inbox VALUES (?)", [message["id"]]).rowcount:
                self.work(message)

    def work(self, message: Message) -> None:
        """Do what the message asks for."""
        raise NotImplementedError

    def send(self, address: str, message: Message) -> None:
        """Put a message into the outbox."""
        row = (address, json.dumps(message))
        self.database.execute("INSERT INTO outbox (address, body) VALUES (?, ?)", row)

    def outbox(self, where: str = "true") -> list[tuple[int, str, str]]:
        """Return the rows of the outbox, oldest first."""
        return self.database.execute(
            f"SELECT n, address, body FROM outbox WHERE {where} ORDER BY n"
        ).fetchall()

    async def relay(self, publish: Callable[[str, str], Awaitable[object]]) -> None:
        """Publish what is not marked as sent. After a crash in between, it would be published again."""
        for n, address, body in self.outbox("NOT is_sent"):
            for _ in range(COPIES):
                await publish(address, body)
            with self.database:
                self.database.execute("UPDATE outbox SET is_sent = 1 WHERE n = ?", [n])


class Service(Program):
    """Stock, payment or shipping: does its step, or refuses, or undoes it."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.program)
        self.step = step
        with self.database:
            self.database.executemany("INSERT INTO amounts VALUES (?, ?)", START[step.program].items())

    def work(self, message: Message) -> None:
        source, target = self.step.source or message["customer"], self.step.target
        if message["command"] == self.step.undo:
            source, target = target, source
        change, amount = "UPDATE amounts SET amount = amount + ? WHERE name = ?", self.step.amount
        is_done = self.database.execute(f"{change} AND amount >= ?", (-amount, source, amount)).rowcount
        if is_done:
            self.database.execute(change, (amount, target))
        outcome = "done" if is_done else "refused"
        self.send("orders", {**message, "id": f"{message['id']} {outcome}", "outcome": outcome})

    def amounts(self) -> dict[str, int]:
        """Return how much is where."""
        return dict(self.database.execute("SELECT name, amount FROM amounts"))


class Orchestrator(Program):
    """Leads each order, and saves where it is before the next command goes out."""

    def place(self, number: str, customer: str) -> None:
        """Begin an order."""
        with self.database:
            self.go({"order": number, "customer": customer}, 0, FORWARD)

    def work(self, message: Message) -> None:
        row = "SELECT at, way FROM sagas WHERE number = ?"
        at, way = self.database.execute(row, [message["order"]]).fetchone()
        # A refused step has changed nothing: going back begins with the step before it. An undo is never
        # refused here. Where it can fail, it is tried again, and put before a person in the end.
        way = way if message["outcome"] == "done" else BACK
        self.go(message, at + way, way)

    def go(self, message: Message, at: int, way: int) -> None:
        """Save where an order is, and put the command for it into the outbox."""
        number, customer = message["order"], message["customer"]
        self.database.execute("REPLACE INTO sagas VALUES (?, ?, ?)", (number, at, way))
        if 0 <= at < len(STEPS):
            command = STEPS[at].do if way == FORWARD else STEPS[at].undo
            letter = {"id": f"{number} {command}", "order": number, "customer": customer, "command": command}
            self.send(STEPS[at].program, letter)

    def ends(self) -> dict[str, str]:
        """Return how the orders ended that have ended."""
        names = {len(STEPS): "completed", -1: "compensated"}
        rows = self.database.execute("SELECT number, at FROM sagas")
        return {number: names[at] for number, at in rows if at in names}
