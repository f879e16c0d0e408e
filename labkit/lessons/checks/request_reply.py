"""The checks of lesson 04: a reservation that is safe to ask for twice, offers in time, replies by id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from labkit.brokers.nats.channels.subject import SubjectDelivery
from labkit.lessons.checks.words import listed
from labkit.lessons.exercise import Check, Finding

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHECKS"]

MOST_COMMANDS = 12
"""A handler with more commands than this is not followed to its end."""

ANSWER_SECONDS = 10.0
DEADLINE = 0.5

OWN_REPLY_ROUNDS = 5
"""Those who share a list may be lucky once, when their connections come late, but not each time."""

NOT_A_FUNCTION = "Return the function itself, without calling it."
SHELF = "shelf"
PRICES = {"north": 3, "south": 4}
SILENT = ["harbour", "moon"]

Reserve = Callable[[Redis, Mapping[str, Any]], Awaitable[Any]]


class MortalRedis(Redis):
    """A connection to Redis whose user dies when its n-th command, or transaction, is done."""

    def __init__(self, lab: Lab, commands: int) -> None:
        super().__init__(connection_pool=lab.redis.native.connection_pool)
        self.left = commands

    async def execute_command(self, *given: Any, **options: Any) -> Any:
        result = await super().execute_command(*given, **options)  # type: ignore[no-untyped-call]
        self.die_in_time()
        return result

    def pipeline(self, *given: Any, **options: Any) -> Any:
        pipeline = super().pipeline(*given, **options)
        execute = pipeline.execute

        async def execute_and_die(*given: Any, **options: Any) -> Any:
            result = await execute(*given, **options)
            self.die_in_time()
            return result

        pipeline.execute = execute_and_die  # type: ignore[method-assign]
        return pipeline

    def die_in_time(self) -> None:
        """End the program that runs, as a crash would, if its last command is done."""
        self.left -= 1
        if self.left == 0:
            raise asyncio.CancelledError("the program died here")


async def check_reserve_once(lab: Lab, reserve: Any) -> Finding:
    """Ask for each reservation twice, at once, and after a crash behind each command; look at the shelf."""
    if not callable(reserve):
        return Finding(False, NOT_A_FUNCTION)
    await lab.redis.native.delete(SHELF)
    await lab.redis.native.hset(SHELF, "tea", "100")
    for told in (_asked_twice, _asked_at_once, _asked_after_crashes):
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if complaint := await told(lab, reserve):
                    return Finding(False, complaint)
        except Exception as error:  # the learner's own code; whatever it raised is feedback
            return Finding(False, f"Your function raised {type(error).__name__}: {error}")
    told_left = "each order took its 2 once"
    return Finding(True, f"Asked twice, asked at once, and dead behind each of its commands: {told_left}.")


def _order(number: int | str) -> dict[str, Any]:
    return {"order": f"order-{number}", "item": "tea", "amount": 2}


async def _left(lab: Lab) -> int:
    return int(await lab.redis.native.hget(SHELF, "tea") or 0)


async def _asked_twice(lab: Lab, reserve: Reserve) -> str:
    before = await _left(lab)
    answers = [await reserve(lab.redis.native, _order("twice")) for _ in range(2)]
    taken = before - await _left(lab)
    if taken != 2:
        return f"One order for 2 was asked for twice, one after the other. It took {taken} off the shelf."
    if answers != [before - 2] * 2:
        return f"Both times the answer is how much is left, {before - 2}. Yours were {answers}."
    return ""


async def _asked_at_once(lab: Lab, reserve: Reserve) -> str:
    before = await _left(lab)
    await asyncio.gather(*(reserve(lab.redis.native, _order("at-once")) for _ in range(5)))
    taken = before - await _left(lab)
    return "" if taken == 2 else f"One order for 2 came five times at once. It took {taken} off the shelf."


async def _asked_after_crashes(lab: Lab, reserve: Reserve) -> str:
    for commands in range(1, MOST_COMMANDS):
        before, order = await _left(lab), _order(f"crash-{commands}")
        has_died = await _dies(reserve, MortalRedis(lab, commands), order)
        await reserve(lab.redis.native, order)
        taken = before - await _left(lab)
        if taken != 2:
            where = f"The program died behind its command {commands}, and the order came again."
            return f"{where} Together that took {taken} off the shelf, and should take 2."
        if not has_died:
            return ""
    return f"Your function sends {MOST_COMMANDS} commands or more. Fewer will do."


async def _dies(reserve: Reserve, mortal: MortalRedis, order: Mapping[str, Any]) -> bool:
    """Run the function on a connection whose user dies; return whether it did."""
    run = asyncio.ensure_future(reserve(mortal, order))
    await asyncio.wait([run])
    if not run.cancelled():
        run.result()
    return run.cancelled()


async def check_quotes(lab: Lab, ask: Any) -> Finding:
    """Let two suppliers answer, one be silent, and one answer too late; see what the learner gathered."""
    if not callable(ask):
        return Finding(False, NOT_A_FUNCTION)
    subject = lab.nats.subject("quotes")
    too_late = asyncio.Event()
    async with AsyncExitStack() as stack:
        for name, price in PRICES.items():
            await stack.enter_async_context(subject.subscribe(name).run(_offer(name, price)))
        await stack.enter_async_context(subject.subscribe("harbour").run(_offer_once_it_may(too_late)))
        found = await _asked(ask, "tea", [*PRICES, *SILENT], DEADLINE)
        too_late.set()
        if isinstance(found, Finding):
            return found
        again = await _asked(ask, "honey", list(PRICES), ANSWER_SECONDS / 2)
    if isinstance(again, Finding):
        return again
    if found != (PRICES, SILENT):
        true = "Two of four suppliers offered in time"
        return Finding(False, f"{true}. You have {len(found[0])}, and name {len(found[1])} as silent.")
    if again != (PRICES, []):
        true = "Asked again, two of two offered"
        return Finding(False, f"{true}. You have {len(again[0])}, and name {len(again[1])} as silent.")
    return Finding(
        True, f"Offers of {listed(PRICES)} in time, silent: {listed(SILENT)}. When all had answered, no wait."
    )


def _offer(name: str, price: int) -> Callable[[SubjectDelivery], Awaitable[None]]:
    async def offer(question: SubjectDelivery) -> None:
        if question.reply_to:
            await question.reply({"by": name, "price": price})

    return offer


def _offer_once_it_may(may: asyncio.Event) -> Callable[[SubjectDelivery], Awaitable[None]]:
    async def offer(question: SubjectDelivery) -> None:
        if not may.is_set() and question.reply_to:
            await may.wait()
            await question.reply({"by": "harbour", "price": 1})

    return offer


async def _asked(ask: Any, item: str, suppliers: list[str], within: float) -> Any:
    """Call the learner's function; return what it gives as ``(offers, silent)``, or what is wrong with it."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS / 2 if within < 1 else ANSWER_SECONDS / 4):
            offers, silent = await ask(item, suppliers, within)
    except TimeoutError:
        return Finding(False, f"Asked with a deadline of {within:g} s, your function did not come back.")
    except Exception as error:  # the learner's own code; whatever it raised is feedback
        return Finding(False, f"Your function raised {type(error).__name__}: {error}")
    return dict(offers), list(silent)


async def check_own_reply(lab: Lab, ask: Any) -> Finding:
    """Ask four times at once, and reply in the reverse order; see who got which."""
    if not callable(ask):
        return Finding(False, NOT_A_FUNCTION)
    numbers = [2, 3, 4, 5]
    told = f"Asked for the squares of {numbers} at once, and replied to in the reverse order:"
    try:
        for _ in range(OWN_REPLY_ROUNDS):
            if await _ask_at_once(lab, ask, numbers) != [number**2 for number in numbers]:
                return Finding(False, f"{told} somebody got another's.")
    except TimeoutError:
        return Finding(
            False, f"Somebody was still waiting after {ANSWER_SECONDS:g} s: a reply went elsewhere."
        )
    except Exception as error:  # the learner's own code; whatever it raised is feedback
        return Finding(False, f"Your function raised {type(error).__name__}: {error}")
    return Finding(True, f"{told} each got its own, {[number**2 for number in numbers]}.")


async def _ask_at_once(lab: Lab, ask: Callable[[int], Awaitable[Any]], numbers: list[int]) -> list[Any]:
    await lab.redis.native.delete("squares")
    backwards = asyncio.create_task(_reply_backwards(lab, len(numbers)))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asyncio.gather(*(ask(number) for number in numbers))
    finally:
        backwards.cancel()
        await asyncio.wait([backwards])


async def _reply_backwards(lab: Lab, count: int) -> None:
    """Take so many requests off the list, then reply to the last of them first."""
    async with lab.redis.list("squares").subscribe("calculator") as requests:
        asked = [(await anext(requests)).value for _ in range(count)]
    for request in sorted(asked, key=lambda one: -one["number"]):
        reply = {"id": request.get("id"), "square": request["number"] ** 2}
        await lab.redis.native.lpush(request["reply_to"], json.dumps(reply))
        await lab.redis.native.expire(request["reply_to"], 60)


CHECKS: Mapping[str, Check] = MappingProxyType(
    {"reserve_once": check_reserve_once, "quotes": check_quotes, "own_reply": check_own_reply}
)
