"""The checks of lesson 06: a message that comes twice, an order that fails, a crash between two writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from labkit.lessons.checks.saga_programs import LearnersPayment, charging_with, taking_with, undoing_with
from labkit.lessons.exercise import Check, Finding
from labkit.patterns.saga import PRICE, CrashPoint, Phase, Saga, SagaShop
from labkit.patterns.saga.transport import NatsTransport, RabbitmqTransport, RedisTransport

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

NO_FUNCTION = Finding(False, "Return the function itself.")


async def check_charge_once(lab: Lab, take: Any) -> Finding:
    """Send payment each message twice, let it die once in its work, and look at its database."""
    if not callable(take):
        return NO_FUNCTION
    shop = SagaShop(RabbitmqTransport(lab.rabbitmq, "charge-once"), kinds={"payment": taking_with(take)})
    shop.transport.copies = 2
    return await _tried(shop, _charge_twice)


async def _charge_twice(shop: SagaShop) -> Finding:
    crash = await _place_and_die(shop, "1:hold", handled=2)
    if not crash.reached.is_set():
        return Finding(False, "Your function did not call `work()`, so no money was held.")
    payment = _payment_of(shop)
    await shop.until(lambda: _payment_of(shop).handled >= 2, "both copies of the message")
    if payment.database.state_of(1, "hold") != "done":
        told = "Payment died before its work was committed. The message came again, and was not worked on:"
        return Finding(False, f"{told} the money was never held.")
    await shop.settled(1)
    await shop.until(lambda: payment.handled >= 4, "every copy")
    return _seen_in(payment)


def _seen_in(payment: LearnersPayment) -> Finding:
    amounts = payment.database.amounts()
    told = (
        "Each message came twice, and one once more after a crash."
        f" The shop took {amounts['shop']} coins for one order at {PRICE}"
    )
    if (amounts["shop"], amounts["held"]) != (PRICE, 0):
        return Finding(False, f"{told}, and holds {amounts['held']}.")
    if not (payment.database.knows("1:hold") and payment.database.knows("1:charge")):
        return Finding(
            False, f"{told}. But its inbox has no row of them: started anew, it would not know them."
        )
    return Finding(True, f"{told}, and its inbox knows both messages.")


async def check_backwards(lab: Lab, undo: Any) -> Finding:
    """Let the third step of one order fail and the second of another stay silent; ask NATS what was sent."""
    if not callable(undo):
        return NO_FUNCTION
    transport = NatsTransport(lab.nats, "backwards")
    shop = SagaShop(transport, kinds={"orders": undoing_with(undo)})
    shop.world.declines = lambda number: number == 1

    async def fail_twice(shop: SagaShop) -> Finding:
        await shop.buy(1)
        await _stay_silent(shop, 2)
        sent = [await _compensations(transport, number) for number in (1, 2)]
        return _compared(sent, shop.books().verdict())

    return await _tried(shop, fail_twice)


async def _stay_silent(shop: SagaShop, number: int) -> None:
    """Let an order's deadline pass while payment is away; it comes back and finds what was sent to it."""
    await shop.kill("payment")
    await shop.place(number)
    await shop.until(lambda: shop.orders.saga_of(number) == Saga(Phase.RUNNING, 1), "the hold")
    patience, shop.world.deadline = shop.world.deadline, 0.0
    await shop.until(lambda: shop.orders.phases()[number] is not Phase.RUNNING, "the deadline")
    shop.world.deadline = patience
    await shop.start("payment")
    await shop.settled(number)
    await shop.until(lambda: _database_of(shop).state_of(number, "hold"), "the late hold")


async def _compensations(transport: NatsTransport, number: int) -> list[str]:
    """Return the compensations of an order, in the order in which the stream has them."""
    async with transport.stream.replay() as stored:
        told = [delivery.value async for delivery in stored]
    commands = [one["command"] for one in told if one["order"] == number and "outcome" not in one]
    return [command for command in commands if command.startswith("un")]


def _compared(sent: list[list[str]], verdict: str) -> Finding:
    told = f"NATS has, of a declined card: {_said(sent[0])}. Of a silent payment: {_said(sent[1])}."
    if verdict != "conserved":
        return Finding(False, f"{told} {verdict}")
    wanted = ["unhold", "unreserve"]
    if sent != [wanted, wanted]:
        return Finding(False, f"{told} Each should be {_said(wanted)}: what was done last, first.")
    return Finding(True, f"{told} Nothing is reserved or held any more.")


async def check_outbox(lab: Lab, charge: Any) -> Finding:
    """Kill payment right after its first commit, and compare its database with what Redis has."""
    if not callable(charge):
        return NO_FUNCTION
    transport = RedisTransport(lab.redis, "outbox")
    shop = SagaShop(transport, kinds={"payment": charging_with(charge)})

    async def die_between(shop: SagaShop) -> Finding:
        await _place_and_die(shop, "1:charge", handled=1)
        await shop.until(lambda: _payment_of(shop).handled, "the message to come again")
        await shop.until(lambda: not _database_of(shop).unsent(), "an empty outbox")
        replies = lab.redis.stream("outbox.orders").replay()
        return await _moved_and_told(shop, "1:charge:done" in [entry.value["id"] async for entry in replies])

    return await _tried(shop, die_between)


async def _moved_and_told(shop: SagaShop, is_told: bool) -> Finding:
    taken = _database_of(shop).amounts()["shop"]
    told = (
        "Payment died right after its first commit, and came back."
        f" The shop took {taken} coins, and Redis {'has' if is_told else 'does not have'} the event."
    )
    if taken > PRICE:
        return Finding(False, f"{told} The message came again, and your function did not know it.")
    if not is_told:
        return Finding(False, f"{told} The order waits for it for ever." if taken else told)
    if not taken:
        return Finding(False, f"{told} The order goes on, and nobody paid.")
    await shop.settled(1)
    return Finding(True, f"{told} At the end all is {shop.books().verdict()}.")


async def _tried(shop: SagaShop, trial: Callable[[SagaShop], Awaitable[Finding]]) -> Finding:
    async with shop:
        try:
            return await trial(shop)
        except Exception as error:  # the learner's own code; whatever it raised is feedback
            for program in shop.programs.values():
                program.subscription.error = None  # it was told
            return Finding(False, f"Your function raised {type(error).__name__}: {error}")


async def _place_and_die(shop: SagaShop, message_id: str, handled: int) -> CrashPoint:
    """Take an order, and start payment again once it died; or go on if its function ended so often."""
    shop.world.crash_point = crash = CrashPoint("payment", "committed", message_id)
    payment = _payment_of(shop)
    await shop.place(1)
    await shop.until(lambda: crash.reached.is_set() or payment.handled >= handled, "payment")
    if crash.reached.is_set():
        await shop.crash("payment")
    return crash


def _payment_of(shop: SagaShop) -> LearnersPayment:
    payment = shop.programs["payment"]
    assert isinstance(payment, LearnersPayment)
    return payment


def _database_of(shop: SagaShop) -> Any:
    return shop.programs["payment"].database


def _said(commands: list[str]) -> str:
    return ", then ".join(f"`{command}`" for command in commands) or "nothing"


CHECKS: Mapping[str, Check] = MappingProxyType(
    {"charge_once": check_charge_once, "backwards": check_backwards, "outbox": check_outbox}
)
