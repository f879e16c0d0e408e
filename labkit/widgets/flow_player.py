"""A recording in a notebook: its page plays, steps and scrubs it, without broker or kernel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets

from labkit.widgets.bundle import script, style
from labkit.widgets.flow_snapshot import flow_image
from labkit.widgets.page import PageWidget
from labkit.widgets.recording import Recording

__all__ = ["FlowPlayer", "play"]


class FlowPlayer(PageWidget):
    """Plays a recording. All of it is given to the page, which then asks for nothing."""

    _esm = script("flow_player")
    _css = style("tokens", "message_flow", "flow_player")

    recording = traitlets.Dict().tag(sync=True)

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        super().__init__(recording=recording.data())

    def heard(self, content: Mapping[str, Any]) -> None:
        """Nothing is said to a player."""

    def fallback(self) -> str:
        recording = self._recording
        return flow_image(recording.lanes, recording.at(recording.seconds), recording.title)

    def __repr__(self) -> str:
        return repr(self._recording)


def play(recording: Recording | str | Path) -> FlowPlayer:
    """Return a player of a recording, or of the file that holds one. Raises ``LabError`` for a bad file."""
    return FlowPlayer(recording if isinstance(recording, Recording) else Recording.load(recording))
