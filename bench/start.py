"""How long each broker takes until it answers: started by the lab, and bare, in turns, in one run.

Bare means: the same program with the same arguments, started by nothing but ``subprocess``, and asked in the
same way whether it answers. Quote the ratios; a machine's times are its own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from labkit.brokers import BROKERS
from labkit.errors import ProgramMissing
from labkit.servers import Fleet
from labkit.servers.ports import free_ports
from labkit.servers.recipe import recipe_of

PAUSE_SECONDS = 0.002


async def bare(broker: str, folder: Path) -> float:
    """Return seconds from spawn to the protocol's answer, without the lab."""
    recipe, program = recipe_of(broker), import_module(f"labkit.brokers.{broker}.program").find()
    ports = free_ports(recipe.PORTS)
    launch = recipe.launch(program, folder, ports)
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: ASYNC220  # that is what is measured
        launch.argv,
        env=dict(launch.env),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", ports["client"])
                writer.close()
                await recipe.probe(recipe.url(ports))
                return time.monotonic() - began
            except Exception:
                await asyncio.sleep(PAUSE_SECONDS)
        raise RuntimeError(f"{broker} ended while it was starting")
    finally:
        process.kill()
        process.wait()


async def ours(broker: str) -> float:
    """Return the same, as the lab tells it."""
    fleet = await Fleet.open()
    try:
        server = await fleet.start(broker)
        assert server.ready_in is not None
        return server.ready_in
    finally:
        await fleet.close()


async def four_together() -> float:
    """Return seconds until all four answer, started side by side, guardian included."""
    began = time.monotonic()
    fleet = await Fleet.open()
    try:
        await fleet.start_all(BROKERS, fleet.start)
        return time.monotonic() - began
    finally:
        await fleet.close()


async def measure(brokers: list[str], rounds: int) -> None:
    """Print a row a broker: medians of both, and the median of their ratios."""
    print(
        f"{'broker':<10}{'bare':>9}{'the lab':>9}{'ratio':>8}   seconds, medians of {rounds} rounds in turns"
    )
    for broker in brokers:
        pairs: list[tuple[float, float]] = []
        for _ in range(rounds + 1):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                pairs.append((await bare(broker, Path(folder)), await ours(broker)))
        pairs = pairs[1:]  # the first warms the page cache
        bare_median, our_median = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(lab / alone for alone, lab in pairs)
        print(f"{broker:<10}{bare_median:>9.3f}{our_median:>9.3f}{ratio:>8.2f}", flush=True)
    together = [await four_together() for _ in range(rounds)]
    print(f"all four, side by side: {statistics.median(together):.2f} s")


def main() -> int:
    """Measure the brokers that are on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds a broker (default: 5)")
    options = parser.parse_args()
    here = []
    for broker in BROKERS:
        try:
            import_module(f"labkit.brokers.{broker}.program").find()
            here.append(broker)
        except ProgramMissing as missing:
            print(missing, file=sys.stderr)
    asyncio.run(measure(here, options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
