"""A prediction in a real JupyterLab: a click reaches the kernel whatever the kernel is doing."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

ASK = (
    "from labkit.lessons import predict\n"
    "late = predict('How many reach it?', {0: 'Nobody listened.', 3: 'All were kept.'})\n"
    "late"
)
# A loop with nothing to do does not notice an interrupt before its next event; hence the ticking.
WAIT = "import asyncio\nwhile True:\n    await asyncio.sleep(0.1)"
FEEDBACK_STARTS = """(words) =>
    document.querySelector('.labkit-prediction-feedback').textContent.startsWith(words)"""


async def test_each_click_is_noted_during_an_async_cell_and_after_it(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook(ASK, WAIT)
    page = notebook.page
    await notebook.start_all()
    for choice in ("3", "0", "3"):
        await page.locator(".labkit-prediction-choice", has_text=choice).click()
        await page.wait_for_function(FEEDBACK_STARTS, arg=f"Noted: {choice}.")
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").nth(1)
    assert "*" in await prompt.inner_text(), "the cell should still wait"

    await notebook.interrupt(1)
    await page.locator(".labkit-prediction-choice", has_text="0").click()
    await page.wait_for_function(FEEDBACK_STARTS, arg="Noted: 0.")
    assert await notebook.run_code("_ = late.explain(0)\nprint(late.chosen)") == "0\n"
    await page.wait_for_function(FEEDBACK_STARTS, arg="You predicted 0, and so it was.")


async def test_an_answer_can_be_chosen_with_the_arrow_keys(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook(ASK)
    await notebook.run_all()
    first = notebook.page.locator(".labkit-prediction-radio").first
    await first.focus()
    await first.press("Space")
    await first.press("ArrowDown")
    await notebook.page.wait_for_function(FEEDBACK_STARTS, arg="Noted: 3.")
