"""Recipes side by side and sliders in a real JupyterLab: with the mouse, with keys, in both themes."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

RECIPES = (
    "from labkit.lessons import show_recipes\n"
    "from labkit.patterns.publish_subscribe import RECIPES\n"
    "show_recipes(RECIPES, '01_publish_subscribe')"
)
DIALS = (
    "from labkit.lessons import Dial, dials\n"
    "turned = []\n"
    "async def on_time(seconds):\n"
    "    turned.append(seconds)\n"
    "    if seconds > 0.15:\n"
    "        raise ValueError('nobody is that slow')\n"
    "shown = dials(Dial('Workers', 1, 6, value=2, on_change=turned.append),\n"
    "              Dial('Each order takes', 0.0, 0.2, value=0.05, step=0.01, unit='s', on_change=on_time))\n"
    "shown"
)
# A loop with nothing to do does not notice an interrupt before its next event; hence the ticking.
WAIT = "import asyncio\nwhile True:\n    await asyncio.sleep(0.1)"
VALUE_IS = "(text) => document.querySelectorAll('.lk-dvalue')[{at}].textContent === text"
ERROR_HAS = "(text) => document.querySelector('.lk-dials .lk-error').textContent.includes(text)"


async def test_recipes_are_shown_side_by_side_or_one_alone_by_mouse_or_keys(
    open_notebook: OpenNotebook,
) -> None:
    notebook = await open_notebook(RECIPES)
    await notebook.run_all()
    columns = notebook.page.locator(".lk-recipe:visible")
    await columns.nth(3).wait_for()  # The page draws a moment after the kernel is done.
    assert await columns.count() == 4
    tops = {(await columns.nth(at).bounding_box() or {})["y"] for at in range(4)}
    assert len(tops) == 1, "not side by side"
    for theme in ("Light", "Dark"):
        await notebook.use_theme(f"JupyterLab {theme}")
        await notebook.picture(f"recipes-{theme.lower()}")

    await notebook.page.locator(".lk-rchoice", has_text="RabbitMQ").click()
    assert await columns.count() == 1
    assert "class RabbitmqOrders" in await columns.inner_text()
    await notebook.picture("recipes-one")
    await notebook.page.locator(".lk-rradio:checked").first.press("ArrowRight")
    assert "class RedisOrders" in await columns.inner_text()

    await notebook.page.locator(".lk-rchoice", has_text="Plain client").click()
    assert "from redis.asyncio import Redis" in await columns.inner_text()
    assert "class RedisOrders" not in await columns.inner_text()
    await notebook.page.locator(".lk-rchoice", has_text="Side by side").click()
    assert await columns.count() == 4
    await notebook.picture("recipes-plain")


async def test_a_dial_turns_during_an_async_cell_by_mouse_or_keys_and_shows_what_went_wrong(
    open_notebook: OpenNotebook,
) -> None:
    notebook = await open_notebook(DIALS, WAIT)
    page = notebook.page
    await notebook.start_all()
    workers, time = (page.locator(".lk-dslider").nth(at) for at in range(2))
    await workers.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        await workers.press(key)
    await page.wait_for_function(VALUE_IS.format(at=0), arg="3")
    await time.fill("0.2")
    await page.wait_for_function(ERROR_HAS, arg="Each order takes: ValueError: nobody is that slow")
    for theme in ("Light", "Dark"):
        await notebook.use_theme(f"JupyterLab {theme}")
        await notebook.picture(f"dials-{theme.lower()}")

    await notebook.interrupt(1)
    await notebook.run_code("shown.set('Each order takes', 0.1)")
    await page.wait_for_function(VALUE_IS.format(at=1), arg="0.10 s")
    await page.wait_for_function(ERROR_HAS, arg="")
    assert await notebook.run_code("print(turned)") == "[3, 4, 3, 0.2, 0.1]\n"


async def test_a_number_is_predicted_by_typing_it(open_notebook: OpenNotebook) -> None:
    ask = (
        "from labkit.lessons import predict_number\n"
        "copies = predict_number('How many copies?', {120: 'One for each.'}, otherwise='Count again.')\n"
        "copies"
    )
    notebook = await open_notebook(ask)
    await notebook.run_all()
    feedback = (
        "(words) => document.querySelector('.labkit-prediction-feedback').textContent.startsWith(words)"
    )
    field = notebook.page.locator(".labkit-prediction-number")
    await field.press("Enter")
    await notebook.page.wait_for_function(feedback, arg="Type a number first.")
    await field.press_sequentially("40")
    await notebook.picture("number")
    await field.press("Enter")
    await notebook.page.wait_for_function(feedback, arg="Noted: 40.")
    assert await notebook.run_code("_ = copies.explain(120)\nprint(copies.chosen)") == "40\n"
    await notebook.page.wait_for_function(feedback, arg="You predicted 40. What happened: 120.")
