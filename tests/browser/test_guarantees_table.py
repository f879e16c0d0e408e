"""The table of guarantees in a real JupyterLab: clicks and keys run experiments on a real NATS."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, Page

from tests.browser.conftest import OpenNotebook
from tests.conftest import require

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

OPEN = 'from labkit import Lab\nlab = await Lab.start("nats")\nguarantees = lab.guarantees()\nguarantees'
STATE = """([at, aspect, state]) => document.querySelector(
    `.lk-gcell[data-at="${at}"][data-aspect="${aspect}"]`)?.dataset.state === state"""
TEXT = "([selector, words]) => document.querySelector(selector)?.textContent.includes(words)"
FOCUSED = "() => document.activeElement.getAttribute('aria-label')"
CLIPPED = """() => [...document.querySelectorAll('.lk-gcellrow, .lk-gcolumn, .lk-gkindrow')].filter(
    (one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""


@pytest.fixture(autouse=True)
def needs_nats() -> None:
    require("nats")


def cell(page: Page, at: int, aspect: str) -> Locator:
    return page.locator(f'.lk-gcell[data-at="{at}"][data-aspect="{aspect}"]')


async def shows(page: Page, at: int, aspect: str, state: str = "shown") -> None:
    await page.wait_for_function(STATE, arg=[at, aspect, state])


async def test_a_click_runs_the_experiment_and_shows_what_the_broker_showed(
    open_notebook: OpenNotebook,
) -> None:
    notebook = await open_notebook(OPEN)
    await notebook.run_all()
    page = notebook.page
    await notebook.picture("guarantees-untried", page.locator(".lk-guarantees"))
    await cell(page, 0, "persistence").click()
    await shows(page, 0, "persistence")
    await page.wait_for_function(TEXT, arg=[".lk-gpanel", "0 of 5 messages were there after SIGKILL"])
    panel = await page.locator(".lk-gpanel").inner_text()
    assert "is a message that nobody has read yet there" in panel.lower()
    assert "kills the broker with SIGKILL" in panel
    assert "await bench.crash()" in panel
    assert "as claimed" in (await cell(page, 0, "persistence").get_attribute("aria-label") or "")
    for theme in ("light", "dark"):
        await notebook.use_theme(f"JupyterLab {theme.title()}")
        await notebook.picture(f"guarantees-{theme}", page.locator(".lk-guarantees"))
    assert await notebook.run_code("print(guarantees.results[0]['Seen'])") == "no\n"


async def test_keys_move_and_run(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook(OPEN)
    await notebook.run_all()
    page = notebook.page
    await cell(page, 0, "confirm").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        await page.keyboard.press(key)
    assert (await page.evaluate(FOCUSED)).startswith("NATS stream, ordering: claimed yes")
    await page.keyboard.press("Enter")
    await shows(page, 1, "ordering")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Space")
    await shows(page, 0, "ordering")
    await page.wait_for_function(TEXT, arg=[".lk-guarantees .lk-unseen", "as claimed"])
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await page.wait_for_function("() => document.querySelectorAll('.lk-gcell[data-state=shown]').length > 2")
    assert await page.locator(".jp-Cell").count() == 1, "no key reached JupyterLab"


async def test_all_can_be_run_and_stopped(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook(OPEN)
    await notebook.run_all()
    page = notebook.page
    await page.locator(".lk-grunall").click()
    await page.locator(".lk-gstop").click()
    await page.wait_for_function(TEXT, arg=[".lk-gcount", "stopped after"])
    await page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    assert await page.locator(".lk-gcell[data-state=waiting]").count() == 0
    assert await page.locator('.lk-gcell[data-state=""]').count() > 0


async def test_in_a_narrow_window_the_table_scrolls_and_the_names_stay(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook(OPEN, viewport={"width": 800, "height": 900})
    await notebook.run_all()
    page = notebook.page
    await cell(page, 1, "dedup").click()
    await shows(page, 1, "dedup")
    frame, name, last = [
        await place.bounding_box() or {}
        for place in (page.locator(".lk-gframe"), page.locator(".lk-gkind").first, cell(page, 1, "dedup"))
    ]
    assert abs(name["x"] - frame["x"]) < 3
    assert last["x"] + last["width"] <= frame["x"] + frame["width"] + 1
    assert await page.evaluate(CLIPPED) == []
    await notebook.picture("guarantees-narrow", page.locator(".lk-guarantees"))


async def test_a_table_of_a_stopped_lab_keeps_what_was_seen_and_takes_no_clicks(
    open_notebook: OpenNotebook,
) -> None:
    notebook = await open_notebook(OPEN, 'await guarantees.run("nats", "subject", aspect="ordering")')
    await notebook.run_all()
    page = notebook.page
    await shows(page, 0, "ordering")
    await notebook.run_code("await lab.stop()")
    await page.wait_for_function("() => document.querySelector('.lk-guarantees').dataset.life === 'stopped'")
    await cell(page, 0, "confirm").click()
    assert await page.locator(".lk-gpanel[inert]").count() == 1
    await shows(page, 0, "ordering")
    await shows(page, 0, "confirm", "")
