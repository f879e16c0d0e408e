"""A JupyterLab, a Chromium, and pages on notebooks that a test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser import chromium, driver
from tests.browser.lab_server import LabServer, lab_server
from tests.browser.notebook_page import NotebookPage

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

OpenNotebook = Callable[..., Awaitable[NotebookPage]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabServer]:
    root = tmp_path_factory.mktemp("notebooks")
    async with lab_server(root, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    driver.lend_library()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium.find(), args=list(FLAGS))
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_notebook(
    server: LabServer, browser: Browser, request: pytest.FixtureRequest
) -> AsyncIterator[OpenNotebook]:
    """Write cells into a notebook, or take the path of one, and open it; every page is clean at the end."""
    pages: list[NotebookPage] = []

    async def open_(*cells: str, path: Path | None = None, **options: Any) -> NotebookPage:
        notebook = path or write_notebook(
            server.root / f"{request.node.name[:60]}-{len(pages)}.ipynb", *cells
        )
        context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        page = NotebookPage(await context.new_page(), server)
        pages.append(page)
        await page.open(notebook)
        return page

    yield open_
    for page in pages:
        await page.close()
    for page in pages:
        page.check_clean()


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook with these code cells, not yet run."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path
