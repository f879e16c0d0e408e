"""What every widget shares: it hears its page on the kernel's main loop, and is a picture without one.

The kernel takes what a page sends in a thread of its own, with another event loop. A client made in a cell
belongs to the kernel's main loop, so whatever a page asks for is handed to that loop.

A page speaks with ``model.send`` and never by setting a synced trait. Of those, some kernels (ipykernel 7.4)
deliver one while an async cell waits, and then none until they are restarted. This is also why the controls
are plain HTML in the widget and no ipywidgets sliders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import anywidget

__all__ = ["PageWidget"]


class PageWidget(anywidget.AnyWidget):
    """A widget that is told what its page sends, on the loop it was made on."""

    def __init__(self, **traits: Any) -> None:
        self._loop = _running_loop()
        super().__init__(**traits)
        self.on_msg(self._on_page_message)

    def _on_page_message(self, _: object, content: Mapping[str, Any], __: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.heard, dict(content))

    def heard(self, content: Mapping[str, Any]) -> None:
        """Act on what a page sent; on the main loop."""
        raise NotImplementedError

    def fallback(self) -> str:
        """Return the HTML a saved notebook shows where no kernel runs; the same each time."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**data, "text/plain": repr(self), "text/html": self.fallback()}, metadata


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
