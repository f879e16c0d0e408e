"""What a cell shows: a fixed text and a fixed HTML form of the same thing."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

__all__ = ["Shown", "Source", "Tone", "edit_source", "note", "show_source", "table"]

Tone = Literal["good", "bad", "plain"]
MARKS: dict[Tone, str] = {"good": "✓", "bad": "✗", "plain": "→"}
COLOURS: dict[Tone, str] = {
    "good": "var(--jp-success-color1, #2e7d32)",
    "bad": "var(--jp-warn-color1, #b26a00)",
    "plain": "var(--jp-info-color1, #1565c0)",
}
TEXT_WIDTH = 88


@dataclass(frozen=True)
class Shown:
    """Something to show as the result of a cell: ``text`` in a terminal, ``html`` in a notebook."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True)
class Source:
    """Python source, highlighted by whatever shows it: JupyterLab in its own theme, and GitHub too."""

    code: str

    def __repr__(self) -> str:
        return self.code

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```"


def note(tone: Tone, title: str, *paragraphs: str) -> Shown:
    """Return a short note: a marked title and a few paragraphs. `Backquotes` mark code."""
    wrapped = [textwrap.fill(paragraph, TEXT_WIDTH) for paragraph in paragraphs if paragraph]
    text = "\n".join([f"{MARKS[tone]} {title}", *wrapped])
    style = f"border-left: 4px solid {COLOURS[tone]}; padding: 2px 12px; margin: 4px 0; max-width: 46em"
    body = "".join(f'<p style="margin: 4px 0">{_inline(part)}</p>' for part in paragraphs if part)
    head = f'<p style="margin: 4px 0"><strong>{MARKS[tone]} {_inline(title)}</strong></p>'
    return Shown(text, f'<div style="{style}">{head}{body}</div>')


def _inline(text: str) -> str:
    """Escape a sentence, and turn its `backquoted` parts into code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts))


def table(rows: Iterable[Mapping[str, object]], caption: str = "") -> Shown:
    """Return a table with a row for each mapping and a column for each key of the first."""
    rows = list(rows)
    columns = list(rows[0]) if rows else []
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    texts = [[cell.text for cell in row] for row in cells]
    return Shown(_text_table(columns, texts, caption), _html_table(columns, cells, caption))


def _cell(value: object) -> Shown:
    if isinstance(value, Shown):
        return value
    text = ("yes" if value else "no") if isinstance(value, bool) else f"{value}"
    return Shown(text, _inline(text))


def _text_table(columns: list[str], cells: list[list[str]], caption: str) -> str:
    widths = [max(len(row[at]) for row in [columns, *cells]) for at in range(len(columns))]
    lines = [_text_row(row, widths) for row in [columns, ["-" * width for width in widths], *cells]]
    return "\n".join([caption, *lines] if caption else lines)


def _text_row(row: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _html_table(columns: list[str], cells: list[list[Shown]], caption: str) -> str:
    left = 'style="text-align: left"'
    head = "".join(f'<th scope="col" {left}>{_inline(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row" {left}>{first.html}</th>'
        + "".join(f"<td {left}>{cell.html}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in cells
    )
    title = f"<caption {left}>{_inline(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def show_source(thing: Callable[..., Any] | type) -> Source:
    """Return the source of a function or class, to be shown highlighted."""
    return Source(inspect.getsource(thing).rstrip())


def edit_source(thing: Callable[..., Any] | type) -> None:
    """Put the source of a function or class into a new cell below, for you to change and run."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.set_next_input(show_source(thing).code)
