"""How Kafka is run: one KRaft node, broker and controller in one, on a small Java with a class cache."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.brokers.kafka.address import Address
from labkit.errors import InstallFailed, StartFailed
from labkit.home import programs_folder
from labkit.programs.found import as_version, version_of
from labkit.programs.program import Program
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Launch

__all__ = ["PORTS", "launch", "prepare", "probe", "url"]

PORTS = {"client": 9092, "controller": 9093}

CHECKPOINT = "bootstrap.checkpoint"
FORMAT_SECONDS = 60.0
AOT_JAVA = "25"
"""From this Java on there is an ahead-of-time cache; before it, an archive of classes."""

# One short-lived node: the quick compiler alone uses half the processor time in the first minutes.
JAVA_FLAGS = (
    *("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

CONFIGURATION = f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{{controller}}
listeners=PLAINTEXT://{LOOPBACK}:{{client}},CONTROLLER://{LOOPBACK}:{{controller}}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{{client}}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={{data}}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=500
num.network.threads=2
num.io.threads=4
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
group.min.session.timeout.ms=500
"""
"""The session is short so that a killed broker comes back at once, not after the old session's 9 s. Consumers
may have one as short, where a lesson would else wait 6 s until a group takes a dead one for dead. The log
cleaner looks twice a second for what is to be compacted, not every 15 s."""


def url(ports: Mapping[str, int]) -> str:
    """Return the address for clients; Kafka's own word for it is bootstrap server, without the scheme."""
    return f"kafka://{LOOPBACK}:{ports['client']}"


def launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
    """Write the configuration, format the data folder once, and return what is run."""
    cache = _cache(program)
    if _is_ahead_of_time(program):
        flags = [f"-XX:AOTCache={cache}"] if cache.is_file() else []
    else:
        flags = [f"-XX:SharedArchiveFile={cache}"] if cache.is_file() else []
    return _launch(program, folder, ports, flags)


def _launch(program: Program, folder: Path, ports: Mapping[str, int], flags: list[str]) -> Launch:
    data = folder / "data"
    properties = folder / "server.properties"
    properties.write_text(CONFIGURATION.format(**ports, data=_escaped(data)))
    _format(data)
    return Launch((*_java(program, *flags), "kafka.Kafka", str(properties)), _environment(folder))


def _java(program: Program, *flags: str) -> tuple[str, ...]:
    jars = os.pathsep.join(str(jar) for jar in sorted(program.path.glob("*.jar")))
    return (str(program.parts["java"]), *JAVA_FLAGS, *flags, "-cp", jars)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"}


def _escaped(path: Path) -> str:
    """Return a path as a properties file wants it: other letters than ASCII as UTF-16 units."""
    return "".join(one if one.isascii() and one != "\\" else _units(one) for one in str(path))


def _units(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _format(data: Path) -> None:
    """Do what Kafka's format tool does, without its second of Java: name the cluster and this folder.

    The checkpoint beside it, from a folder the tool formatted, turns on share groups, the new consumer
    protocol and transactions' second version. It names no cluster, so one serves all.
    """
    if (data / "meta.properties").is_file():
        return
    checkpoint = _prepared() / CHECKPOINT
    if not checkpoint.is_file():
        raise StartFailed("Kafka is not prepared.", broker="kafka", remedy="labkit install kafka")
    data.mkdir(exist_ok=True)
    shutil.copyfile(checkpoint, data / CHECKPOINT)
    told = {"version": 1, "cluster.id": _new_id(), "node.id": 1, "directory.id": _new_id()}
    (data / "meta.properties").write_text("".join(f"{key}={value}\n" for key, value in told.items()))


def _new_id() -> str:
    """Return a random id as Kafka writes them: 22 characters that do not begin with a dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


async def probe(url: str) -> str:
    """Return "" once the broker names itself in its metadata: Kafka's protocol tells no version."""
    from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]  # loaded while Java starts

    from labkit.brokers.client import keep_log_quiet

    keep_log_quiet("aiokafka")
    client = AIOKafkaClient(**Address.parse(url).options(), request_timeout_ms=3000)
    try:
        await client.bootstrap()
        if not client.cluster.brokers():
            raise ConnectionError("no broker in the metadata yet")
    finally:
        await client.close()
    return ""


def prepare(program: Program, say: Callable[[str], None]) -> None:
    """Format a folder once for its checkpoint, and run the broker once to record its classes."""
    _prepared().mkdir(parents=True, exist_ok=True)
    if not (_prepared() / CHECKPOINT).is_file():
        say("formatting a first data folder")
        _make_checkpoint(program)
    if not _cache(program).is_file():
        say("recording its classes, so that it starts twice as fast (some ten seconds, once)")
        asyncio.run(_record(program))


def _make_checkpoint(program: Program) -> None:
    with tempfile.TemporaryDirectory(dir=_prepared()) as scratch:
        folder = Path(scratch)
        properties = folder / "server.properties"
        properties.write_text(CONFIGURATION.format(**PORTS, data=_escaped(folder / "data")))
        argv = [*_java(program), "kafka.tools.StorageTool", "format", "-t", _new_id(), "-c", str(properties)]
        done = subprocess.run(
            argv,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=FORMAT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise InstallFailed(
                f"Kafka's format tool failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}.",
                broker="kafka",
                remedy="labkit doctor shows which Java it ran on",
            )
        (folder / "data" / CHECKPOINT).rename(_prepared() / CHECKPOINT)


async def _record(program: Program) -> None:
    """Run the broker once; Java writes the cache when it is asked to end."""
    from labkit.servers.rehearsal import rehearse

    cache = _cache(program)
    option = "AOTCacheOutput" if _is_ahead_of_time(program) else "ArchiveClassesAtExit"
    partial = cache.with_name(cache.name + ".partial")

    def launch_recording(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
        return _launch(program, folder, ports, [f"-XX:{option}={partial}"])

    async with rehearse(program, launch_recording) as server:
        await server.stop(60.0)
    if partial.is_file():
        partial.rename(cache)


def _is_ahead_of_time(program: Program) -> bool:
    return as_version(_java_version(program)) >= as_version(AOT_JAVA)


def _java_version(program: Program) -> str:
    java = program.parts["java"].resolve()
    try:
        found = re.search(r'JAVA_VERSION="([^"]+)"', (java.parent.parent / "release").read_text())
    except OSError:
        found = None
    return found[1] if found else version_of([str(java), "-version"]) or "17"


def _cache(program: Program) -> Path:
    """Return the cache's file. It fits exactly one Java and these jars."""
    return _prepared() / f"classes-{_java_version(program)}-{_java_key(program)}"


def _java_key(program: Program) -> str:
    java = program.parts["java"].resolve()
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{java} {program.path} {java.stat().st_mtime_ns}").hex[:8]


def _prepared() -> Path:
    return programs_folder() / "prepared" / "kafka"
