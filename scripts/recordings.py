"""Record lesson 01's flow on real brokers, one of them killed and restarted, and make the page that plays it.

python scripts/recordings.py            docs/recordings/crash.flow.json.gz from a new run, and docs/look.html
python scripts/recordings.py --page     only the page, from the recording that is kept
python scripts/recordings.py --check    say whether the page is what is drawn today
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit import Lab
from labkit.errors import LabError
from labkit.patterns.publish_subscribe import Orders, lanes_of, open_shops
from labkit.patterns.traffic import Traffic
from labkit.widgets import Recording

DOCS = Path(__file__).parents[1] / "docs"
RECORDING = DOCS / "recordings" / "crash.flow.json.gz"
PAGE = DOCS / "look.html"

SUBSCRIBERS = ("billing", "shipping", "audit")
RATE = 10.0
KEEPING = ("rabbitmq", "kafka")
KILLED = "rabbitmq"
WAIT_SECONDS = 30.0

HEADING = "Four brokers, one shop, one crash"
INTRO = (
    "This is a recording of real NATS, RabbitMQ, Redis and Kafka: every dot was a message, every number was "
    "counted while it ran. Nothing is installed or fetched to look at it. In the lab you press Kill yourself."
)

Shops = Mapping[str, Orders[Any]]


async def record() -> Recording:
    """Return the recording; fails if the brokers did not do what its captions say."""
    async with await Lab.start() as lab:
        shops = open_shops(lab.clients)
        for shop in shops.values():
            for name in SUBSCRIBERS:
                await shop.subscribe(name)
        async with Traffic(list(shops.values()), rate=RATE) as traffic:
            flow = lab.flow(*await lanes_of(shops), title="Orders")
            recording = flow.record()
            traffic.start()
            await tell(recording, lab, shops)
            traffic.pause()
            await asyncio.sleep(1.0)
            recording.stop()
            check(shops, traffic)
    return recording


async def tell(recording: Recording, lab: Lab, shops: Shops) -> None:
    """Let happen what the captions say, one after another."""
    recording.caption(
        "The shop publishes ten orders a second on each broker, and every subscriber gets a copy."
    )
    await asyncio.sleep(3.0)

    recording.caption(
        "Billing goes away. RabbitMQ keeps its orders in a queue, Kafka in a log; the others drop them."
    )
    for shop in shops.values():
        await shop.leave("billing")
    await asyncio.sleep(2.5)

    for shop in shops.values():
        await shop.subscribe("billing")
    recording.caption(
        "Billing is back. On RabbitMQ and Kafka it gets what it missed; on NATS and Redis that is gone."
    )
    await asyncio.sleep(3.0)

    recording.caption(
        "RabbitMQ is killed with SIGKILL. What cannot be sent is refused; the other brokers go on."
    )
    await lab.kill(KILLED)
    await asyncio.sleep(3.0)

    recording.caption(
        "RabbitMQ starts again, with the same data on the same port. Its clients connect by themselves."
    )
    await lab.restart(KILLED)
    async with asyncio.timeout(WAIT_SECONDS):
        await shops[KILLED].until_heard()
    audit = shops[KILLED].subscribers["audit"]
    await audit.until(len(audit.received) + 3 * round(RATE))


def check(shops: Shops, traffic: Traffic) -> None:
    """Raise an error if the captions are not what happened."""
    for broker, shop in shops.items():
        billing, audit = shop.subscribers["billing"], shop.subscribers["audit"]
        missed = set(audit.numbers) - set(billing.numbers)
        if bool(missed) == (broker in KEEPING):
            raise LabError(f"Billing missed {len(missed)} orders on {broker}.", remedy="record it again")
    if not traffic.counts[KILLED].refused:
        raise LabError(f"{KILLED} was killed, and no order was refused.", remedy="record it again")


def main() -> int:
    """Do what the arguments say; return 0 if all is well."""
    if "--check" in sys.argv[1:]:
        return check_page()
    if "--page" not in sys.argv[1:]:
        RECORDING.parent.mkdir(exist_ok=True)
        tell_size(asyncio.run(record()).save(RECORDING))
    tell_size(make_page(PAGE))
    return 0


def make_page(path: Path) -> Path:
    """Make the page from the recording that is kept."""
    return Recording.load(RECORDING).to_html(path, heading=HEADING, intro=INTRO)


def check_page() -> int:
    """Return 0 if the page is what its recording and today's player make."""
    with tempfile.TemporaryDirectory() as folder:
        is_fresh = make_page(Path(folder) / PAGE.name).read_bytes() == PAGE.read_bytes()
    if not is_fresh:
        print("docs/look.html is stale: run `python scripts/recordings.py --page`")
    return int(not is_fresh)


def tell_size(path: Path) -> None:
    """Print how large a file has become."""
    print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
