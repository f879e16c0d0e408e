"""Which way a broker runs: what the code asks for, else what the environment says, else as a process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from labkit.errors import LabError
from labkit.servers.external import external_url

__all__ = ["HOWS", "How", "how_to_run"]

HOWS = ("process", "container")

How = str | Mapping[str, str] | None
"""One way for all brokers, or a way by broker: ``"container"``, ``{"kafka": "container"}``."""


def how_to_run(broker: str, asked: How) -> str:
    """Return "process", "container" or "external".

    What is ``asked`` for goes first; then ``LABKIT_NATS_URL`` and so on; then ``LABKIT_NATS_HOW`` and so on;
    then ``LABKIT_HOW``. Raises ``LabError`` for a word that is none of these.
    """
    wanted = asked.get(broker) if isinstance(asked, Mapping) else asked
    if wanted:
        return _known(wanted, "how")
    if external_url(broker):
        return "external"
    for variable in (f"LABKIT_{broker.upper()}_HOW", "LABKIT_HOW"):
        if said := os.environ.get(variable):
            return _known(said, variable)
    return "process"


def _known(word: str, where: str) -> str:
    if word not in HOWS:
        raise LabError(f"{where} is {word!r}, which is no way to run a broker.", remedy=" or ".join(HOWS))
    return word
