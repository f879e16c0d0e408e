"""A recording of a real NATS, played in a real JupyterLab, and as a page of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from labkit.widgets import Recording
from tests.browser.conftest import OpenNotebook
from tests.browser.notebook_page import PICTURES, FlowOnPage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

LOOK = Path(__file__).parents[2] / "docs" / "look.html"
RECORD = """
import asyncio
from tests.browser.nats_shop import Shop
from labkit.widgets import play
shop = await Shop().open()
recording = shop.flow.record()
recording.caption("Forty orders.")
await shop.send(40)
await asyncio.sleep(0.3)
await shop.server.kill()
await asyncio.sleep(0.3)
recording.caption("NATS is back.")
await shop.server.start()
while not shop.client.is_connected: await asyncio.sleep(0.02)
shop.rate = 20
await asyncio.sleep(2)
shop.rate = 0
await asyncio.sleep(0.5)
shop.flow.stop()
path = recording.save("shop.flow.json.gz")
shop.server.kill_now()
shop.task.cancel()
player = play(path)
said = []
player.on_msg(lambda *message: said.append(message))
player
"""
FRAMES = (
    "import json; print(json.dumps([[frame['at'], recording.at(frame['at'])] for frame in recording.frames]))"
)
PLAYING = "(root, playing) => root.dataset.playing === playing"
CLOCK = "(root, words) => root.querySelector('.lk-clock').textContent === words"
CAPTION = "(root, words) => root.querySelector('.lk-caption').textContent === words"
PIXELS = """() => {
    const canvas = document.querySelector('.lk-canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) sum = (sum * 31 + data[at] + 7 * data[at + 3]) % 1000000007;
    return sum;
}"""


async def scrub_to(page: Page, seconds: float) -> None:
    # As a drag does it: many places on the way, and then the one that is meant.
    for share in (0.3, 0.9, 1.0):
        await page.locator(".lk-scrub .lk-range").fill(str(round(1000 * seconds * share)))


async def shown(flow: FlowOnPage, broker: str) -> list[int]:
    return [await flow.sent(broker), *(count for _, count in await flow.received(broker))]


def totals(lane: dict[str, Any]) -> list[int]:
    return [lane["publishers"][0][0], *(sum(row) for row in lane["subscribers"])]


async def test_a_recording_is_played_stepped_and_scrubbed_and_shows_the_kernels_totals(
    open_notebook: OpenNotebook,
) -> None:
    notebook = await open_notebook(RECORD)
    await notebook.run_all()
    page = notebook.page
    flow = FlowOnPage(page)
    await flow.root.scroll_into_view_if_needed()
    frames = json.loads(await notebook.run_code(FRAMES))
    assert totals(frames[-1][1][0])[0] > 40
    states = []
    for at, [lane] in [*frames[:: len(frames) // 9], frames[-1]]:
        await scrub_to(page, at)
        assert await shown(flow, "nats") == totals(lane), f"at {at}"
        assert await flow.state("nats") == lane["state"]
        states.append(lane["state"])
    assert await notebook.run_code("print(len(said))") == "0\n", "the page asked the kernel for something"
    down = next(at for at, [lane] in frames if lane["state"] == "dead")
    await scrub_to(page, down)
    assert await flow.state("nats") == "dead"
    await notebook.picture("player-down", flow.root)

    # Keys: from the start batch by batch, and back; JupyterLab takes none of them.
    await flow.root.focus()
    await page.keyboard.press("Home")
    for at, [lane] in frames[1:4]:
        await page.keyboard.press("ArrowRight")
        await flow.wait_for("(root, at) => Number(root.querySelector('.lk-range').value) === at", 1000 * at)
        assert await shown(flow, "nats") == totals(lane)
    await page.keyboard.press("ArrowLeft")
    assert await shown(flow, "nats") == totals(frames[2][1][0])
    await page.keyboard.press("b")
    await page.get_by_label("Speed").select_option("10")
    await flow.root.focus()
    await page.keyboard.press("Space")
    await flow.wait_for(PLAYING, "true")
    await flow.wait_for(PLAYING, "false")
    assert await shown(flow, "nats") == totals(frames[-1][1][0])
    await flow.wait_for(CAPTION, "NATS is back.")
    assert await page.locator(".jp-Cell").count() == 1

    middle = next(at for at, [lane] in frames if totals(lane)[0] > 60)
    for theme in ("Dark", "Light"):
        await notebook.use_theme(f"JupyterLab {theme}")
        await scrub_to(page, middle)
        await notebook.picture(f"player-{theme.lower()}", flow.root)


class Sheet:
    """A page from a file, and all it asked for or complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.flow = FlowOnPage(page)
        self.asked: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))


@pytest_asyncio.fixture(loop_scope="session")
async def open_look(browser: Browser) -> AsyncIterator[Any]:
    sheets: list[Sheet] = []

    async def open_(**options: Any) -> Sheet:
        context = await browser.new_context(**{"viewport": {"width": 1240, "height": 900}, **options})
        sheets.append(Sheet(await context.new_page()))
        await sheets[-1].page.goto(LOOK.as_uri())
        return sheets[-1]

    yield open_
    for sheet in sheets:
        await sheet.page.context.close()
        assert sheet.asked == [LOOK.as_uri()], "the page asked for more than itself"
        assert sheet.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_of_a_recording_plays_by_itself_and_shows_what_is_in_the_file(
    open_look: Any, scheme: str
) -> None:
    sheet = await open_look(color_scheme=scheme)
    page, flow = sheet.page, sheet.flow
    await flow.wait_for(PLAYING, "true")
    seen = {await page.evaluate(PIXELS) for _ in range(6) if await page.wait_for_timeout(60) is None}
    assert len(seen) > 3, "dots move"
    await page.keyboard.press("Space")
    await flow.wait_for(PLAYING, "false")
    recording = Recording.load(LOOK.parent / "recordings" / "crash.flow.json.gz")
    for share in (0.9, 0.2, 0.65, 1.0, 0.0):
        at = round(share * recording.seconds, 3)
        await scrub_to(page, at)
        for lane, news in zip(recording.lanes, recording.at(at), strict=True):
            assert await shown(flow, lane.broker) == totals(news)
            assert await flow.state(lane.broker) == news["state"]
    down = next(frame["at"] for frame in recording.frames if ["rabbitmq", "dead"] in frame.get("changes", []))
    await scrub_to(page, down + 1)
    await page.screenshot(path=PICTURES / f"look-{scheme}.png")
    background = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


async def test_a_moment_looks_the_same_whichever_way_one_came_to_it(open_look: Any) -> None:
    sheet = await open_look(reduced_motion="no-preference")
    page = sheet.page
    await page.keyboard.press("Space")
    await scrub_to(page, 2.0)
    there = await page.evaluate(PIXELS)
    await page.keyboard.press("ArrowRight")
    assert await page.evaluate(PIXELS) != there
    for key in ("Home", "End"):
        await page.keyboard.press(key)
        await page.locator(".lk-scrub .lk-range").fill("2000")
        assert await page.evaluate(PIXELS) == there, f"from {key}"
    for width in (900, 1240):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.wait_for_function(
            "(width) => document.querySelector('.lk-flow').clientWidth > width / 2", arg=width
        )
    await page.wait_for_function(f"(there) => ({PIXELS})() === there", arg=there)


async def test_with_reduced_motion_the_page_waits_to_be_asked_and_draws_no_dots(open_look: Any) -> None:
    sheet = await open_look(reduced_motion="reduce")
    await sheet.flow.wait_for(PLAYING, "false")
    await scrub_to(sheet.page, 2.0)
    still = await sheet.page.evaluate(PIXELS)
    await sheet.page.keyboard.press("ArrowRight")
    assert await sheet.page.evaluate(PIXELS) == still
    assert await sheet.page.locator(".lk-ratio").inner_text() == "dots are off: reduced motion"


async def test_everything_fits_a_narrow_page(open_look: Any) -> None:
    sheet = await open_look(viewport={"width": 420, "height": 900})
    assert await sheet.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    await sheet.page.screenshot(path=PICTURES / "look-narrow.png")
