"""How NATS is reached without the lab: by nats-py, and by FastStream."""

from __future__ import annotations

from typing import Any

import nats
from nats.aio.client import Client

from labkit.bench.stage import Stage

__all__ = ["SETTINGS", "connect", "faststream", "new_faststream", "on_stage"]

SETTINGS: dict[str, Any] = {"reconnect_time_wait": 0.1, "max_reconnect_attempts": -1, "ping_interval": 10}
"""The lab's own, for everybody."""


async def connect(url: str) -> Client:
    """Return a raw connection with the settings of the lab's own."""
    return await nats.connect(url, **SETTINGS)


async def on_stage(stage: Stage) -> Client:
    """Return a raw connection that is closed with the stage."""
    native = await connect(stage.url)
    stage.at_close(native.close)
    return native


def new_faststream(stage: Stage) -> Any:
    """Return a FastStream broker, to be given subscribers and started."""
    from faststream.nats import NatsBroker

    return NatsBroker(stage.url, logger=None, **SETTINGS)


async def faststream(stage: Stage) -> Any:
    """Return a started FastStream broker without subscribers."""
    return await stage.started(new_faststream(stage))
