"""One notebook in JupyterLab in a browser, as a person would use it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Locator, Page, Request
from playwright.async_api import Error as PlaywrightError

from tests.browser.lab_server import LabServer

PICTURES = Path(__file__).parents[2] / "build" / "pictures"
RUN_SECONDS = 120.0

# The execution indicator says idle before there is a kernel; only the kernel's own answer is one.
KERNEL_IS_READY = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const panel = () => app.shell.currentWidget;
    while (!panel()?.sessionContext) await new Promise((later) => setTimeout(later, 50));
    await panel().context.ready;
    await panel().sessionContext.ready;
    await panel().sessionContext.session.kernel.info;
}"""
RUN_ALL = """async () => {
    await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
    window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""
RUN_FIRST = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
    notebook.activeCellIndex = notebook.widgets.findIndex((cell) => cell.model.type === 'code');
    window.jupyterapp.commands.execute('notebook:run-cell');
}"""
KERNEL_STATE = """() => {
    const context = window.jupyterapp.shell.currentWidget.sessionContext;
    const kernel = context.session?.kernel;
    return `kernel ${kernel?.status}, ${kernel?.connectionStatus}, waits for input: ${context.pendingInput}`;
}"""
HAS_ENDED = """(cell) => {
    const prompt = document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[cell];
    return /\\d/.test(prompt.textContent);
}"""
ALL_RAN = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
    return prompts.length > 0 && prompts.every((prompt) => /\\[\\d+\\]/.test(prompt.textContent));
}"""

# JupyterLab takes cells that are far away off the page; only it can bring one back.
IS_IN_VIEW = """async (selector) => {
    const element = document.querySelector(selector);
    if (!element) return false;
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const { top, bottom, height } = element.getBoundingClientRect();
    const [bars, status] = [90, 25];
    const fits = height <= innerHeight - bars - status;
    const there = fits ? bottom <= innerHeight - status : top < 2 * bars;
    if (height && top >= 0 && there) return true;
    if (height) {
        element.scrollIntoView({ block: fits ? 'end' : 'start' });
    } else {
        const cell = notebook.widgets.findIndex((cell) => cell.node.contains(element));
        notebook.scrollToItem(cell, 'start');
    }
    return false;
}"""


MOST_PICTURES = 60


class NotebookPage:
    """A page that shows one notebook; it notices console errors and requests that leave the machine."""

    def __init__(self, page: Page, server: LabServer) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        self.forgiven: list[str] = []
        self.strays: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(f"{error} {error.stack or ''}"))
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "127.0.0.1":
            self.strays.append(request.url)

    async def open(self, notebook: Path) -> None:
        """Open a notebook and wait until its kernel can run cells."""
        await self.page.goto(self.server.address(notebook))
        await self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        await self.evaluate(KERNEL_IS_READY)
        await self.use_theme("JupyterLab Light")  # the server remembers what an earlier test chose

    async def evaluate(self, script: str, argument: Any = None, seconds: float = RUN_SECONDS) -> Any:
        """Run a function in the page and return what it returns; fail with a picture if it never does."""
        try:
            async with asyncio.timeout(seconds):
                return await self.page.evaluate(script, argument)
        except TimeoutError as error:
            path = await self.picture("failed-evaluate")
            raise AssertionError(f"No answer within {seconds:g} s; see {path}:\n{script}") from error

    async def reload(self) -> None:
        """Load the page again, as F5 does."""
        await self.page.reload()
        await self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        await self.evaluate(KERNEL_IS_READY)

    async def start_all(self) -> None:
        """Forget what is stored, run all cells, and do not wait for them."""
        await self.evaluate(RUN_ALL)

    async def start_first(self) -> None:
        """Forget what is stored, run the first code cell, and do not wait for it."""
        await self.evaluate(RUN_FIRST)

    async def run_all(self, seconds: float = RUN_SECONDS) -> None:
        """Run all cells and wait until each has ended."""
        await self.start_all()
        await self.wait_until_all_ran(seconds)

    async def wait_until_all_ran(self, seconds: float = RUN_SECONDS) -> None:
        """Wait until each cell has ended."""
        try:
            await self.page.wait_for_function(ALL_RAN, timeout=seconds * 1000)
        except PlaywrightError as error:
            path = await self.picture("failed-run-all")
            kernel = await self.page.evaluate(KERNEL_STATE)
            raised = "\n".join(await self.error_outputs())
            raise AssertionError(
                f"Not every cell ran within {seconds:g} s ({kernel}); see {path}\n{raised}"
            ) from error

    async def interrupt(self, cell: int) -> None:
        """Press the interrupt button, and wait until this code cell, counted from 0, has ended."""
        await self.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
        )
        await self.page.wait_for_function(HAS_ENDED, arg=cell)

    async def run_code(self, code: str) -> str:
        """Run code in the notebook's kernel as a console would, and return what it printed."""
        script = """async (code) => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({ code, silent: false, store_history: false });
            let text = "";
            future.onIOPub = (message) => {
                if (message.header.msg_type === "stream") text += message.content.text;
                if (message.header.msg_type === "error") text += message.content.traceback.join("\\n");
            };
            await future.done;
            return text;
        }"""
        printed: str = await self.evaluate(script, code)
        return printed

    async def use_theme(self, name: str) -> None:
        """Switch to "JupyterLab Dark" or "JupyterLab Light", unless it is that already."""
        is_light = "true" if name.endswith("Light") else "false"
        if await self.page.locator(f'body[data-jp-theme-light="{is_light}"]').count():
            return
        await self.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
        )
        await self.page.wait_for_selector(f'body[data-jp-theme-light="{is_light}"]', state="attached")
        # JupyterLab's splash must be gone before the next switch, or it removes it twice, which is an error.
        await self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    async def bring_into_view(self, selector: str) -> None:
        """Scroll until the first such element is on the page, however often JupyterLab scrolls away.

        It is there whole, or, if it is too high for that, with its top.
        """
        try:
            await self.page.wait_for_function(IS_IN_VIEW, arg=selector)
        except PlaywrightError as error:
            path = await self.picture("failed-bring-into-view")
            raise AssertionError(f"{selector} did not come into view; see {path}") from error

    async def picture_with(self, selector: str, name: str) -> None:
        """Save a picture of the page with this element in view, also while the cells above still grow."""
        for _ in range(MOST_PICTURES):
            await self.bring_into_view(selector)
            path = await self.picture(name)
            if await self.page.evaluate(IS_IN_VIEW, selector):
                return
        raise AssertionError(f"{selector} did not stay in view; see {path}")

    async def outputs(self) -> list[str]:
        """Return the text of every output area, in order."""
        return await self.page.locator(".jp-OutputArea-output").all_inner_texts()

    async def error_outputs(self) -> list[str]:
        """Return the tracebacks the notebook shows."""
        kinds = ("application/vnd.jupyter.stderr", "application/vnd.jupyter.error")
        selector = ", ".join(f'[data-mime-type="{kind}"]' for kind in kinds)
        return await self.page.locator(selector).all_inner_texts()

    async def picture(self, name: str, what: Locator | None = None) -> Path:
        """Save a picture of the page, or of one thing on it, as ``build/pictures/<name>.png``."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        await (what or self.page).screenshot(path=path)
        return path

    def check_clean(self) -> None:
        """Fail if the console showed an error or a request left the machine."""
        assert not self.strays, f"requests left this machine: {self.strays}"
        errors = [error for error in self.errors if not any(words in error for words in self.forgiven)]
        assert not errors, f"console errors: {errors}"

    async def close(self) -> None:
        """End the kernel and the page; what JupyterLab says about its own kernel's end is no error."""
        self.page.remove_listener("console", self._heard)
        await self.evaluate(
            "async () => void (await window.jupyterapp?.shell.currentWidget?.sessionContext.shutdown())"
        )
        await self.page.context.close()


class FlowOnPage:
    """The live picture as it stands on a page; what it shows is read as a person reads it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".lk-flow").first

    def lane(self, broker: str) -> Locator:
        """Return one broker's lane, or its lanes."""
        return self.root.locator(f'.lk-lane[data-broker="{broker}"]')

    async def sent(self, broker: str) -> int:
        """Return what the counters of all publishers say, together."""
        counts = await self.lane(broker).locator(".lk-publisher .lk-count").all_inner_texts()
        return sum(map(_number, counts))

    async def received(self, broker: str) -> list[tuple[str, int]]:
        """Return what each subscriber's counter says, with its name."""
        nodes = self.lane(broker).locator(".lk-subscriber")
        names = await nodes.locator(".lk-label").all_inner_texts()
        counts = await nodes.locator(".lk-count").all_inner_texts()
        return list(zip(names, map(_number, counts), strict=True))

    async def state(self, broker: str) -> str | None:
        """Return the state the lane shows."""
        return await self.lane(broker).get_attribute("data-state")

    async def wait_for(self, script: str, argument: Any = None, seconds: float = 30.0) -> None:
        """Wait until ``script``, a function of the picture's root and ``argument``, returns true."""
        whole = f"(argument) => ({script})(document.querySelector('.lk-flow'), argument)"
        await self.page.wait_for_function(whole, arg=argument, timeout=seconds * 1000)


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text) or "0")
