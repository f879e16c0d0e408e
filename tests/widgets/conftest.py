"""What the widgets' tests share: a broker's state as words, and what a widget tells its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.servers.server import State


class KnownServer:
    """The words of a server, set by the test: widgets know no more of a broker than this."""

    how = "process"
    doing = ""

    def __init__(self, broker: str, state: State = State.RUNNING) -> None:
        self.broker = broker
        self.version = "1.2.3"
        self.url = f"{broker}://127.0.0.1:4000"
        self.ready_in: float | None = 0.25
        self.state = state
        self.watchers: list[Callable[[Any], None]] = []

    def on_change(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self.watchers.append(callback)
        return lambda: self.watchers.remove(callback)

    def become(self, state: State) -> None:
        self.state = state
        for watcher in list(self.watchers):
            watcher(self)


class Page:
    """A page that shows a widget: what it is told, and what it says."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.told: list[dict[str, Any]] = []
        widget.send = lambda content, buffers=None: self.told.append(content)

    def say(self, **content: Any) -> None:
        """Send something to the kernel, as ipywidgets delivers it."""
        self.widget._on_page_message(self.widget, content, [])

    def watch(self, new: bool = True) -> None:
        """Say that the widget is seen."""
        self.say(type="watching", new=new)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what was told, of one type."""
        return [content for content in self.told if content["type"] == kind]
