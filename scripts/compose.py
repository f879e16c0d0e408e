"""The brokers of docker-compose.yml, started and waited for: `make compose-up`, `make compose-down`.

python scripts/compose.py up [PROFILE ...]    start them, then print what makes every notebook use them
python scripts/compose.py down [--volumes]    end them; with --volumes their data goes, too
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main", "url_lines"]

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ("core", "consoles", "monitoring", "cluster")
WITH_ONE_OF_EACH = ("core", "consoles", "monitoring")
URLS = {
    "nats": ("nats://127.0.0.1:{}", "NATS_PORT", "4222"),
    "rabbitmq": ("amqp://lab:lab@127.0.0.1:{}/lab", "RABBITMQ_PORT", "5672"),
    "redis": ("redis://127.0.0.1:{}", "REDIS_PORT", "6379"),
    "kafka": ("kafka://127.0.0.1:{}", "KAFKA_PORT", "9092"),
}


def main(words: Sequence[str]) -> int:
    """Do what is asked; return Compose's exit code, or 2 for wrong usage."""
    act, *rest = words or ("help",)
    if act == "up" and set(rest) <= set(PROFILES):
        return _up(rest or ["core"])
    if act == "down" and set(rest) <= {"--volumes"}:
        every = [word for profile in PROFILES for word in ("--profile", profile)]
        return _compose(*every, "down", *rest)
    print(__doc__, file=sys.stderr)
    return 2


def _up(profiles: Sequence[str]) -> int:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    status = _compose(*chosen, "up", "--detach", "--wait")
    if status == 0 and set(profiles) & set(WITH_ONE_OF_EACH):
        print("\nEvery notebook and program that sees these lines uses these brokers:\n", file=sys.stderr)
        print("\n".join(url_lines()))
    return status


def url_lines() -> list[str]:
    """Return the shell's lines that point the lab at the brokers."""
    return [
        f"export LABKIT_{broker.upper()}_URL={address.format(os.environ.get(variable) or standard)}"
        for broker, (address, variable, standard) in URLS.items()
    ]


def _compose(*arguments: str) -> int:
    # Where Compose is no plugin of the docker command, this names it.
    program = shlex.split(os.environ.get("COMPOSE", "docker compose"))
    try:
        return subprocess.call([*program, "--file", str(ROOT / "docker-compose.yml"), *arguments])
    except FileNotFoundError:
        print(
            f"compose: there is no `{program[0]}` here; install Docker, or run `labkit up`.", file=sys.stderr
        )
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
