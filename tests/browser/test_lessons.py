"""The lessons in a real JupyterLab in a real browser: Run All, as a learner would."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from labkit.brokers import BROKERS
from labkit.lessons.course import Lesson, read_course
from tests.browser.conftest import OpenNotebook
from tests.browser.lab_server import LabServer
from tests.browser.notebook_page import FlowOnPage, NotebookPage
from tests.conftest import require

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

COURSE = read_course(Path(__file__).parents[2] / "notebooks")
LESSONS = {lesson.file: lesson for lesson in COURSE.lessons}
with_a_picture = pytest.mark.parametrize(
    "lesson", [name for name in LESSONS if name != "02_meet_the_brokers"]
)
as_both = pytest.mark.parametrize(("whose", "theme"), [("learner", "light"), ("solved", "dark")])
"""A learner's copy in one theme, the solved one in the other: every notebook, and both themes."""

# In a lesson, some publish only when something goes wrong.
SOMEBODY_HAS_SENT = """(root, count) => [...root.querySelectorAll('.lk-publisher .lk-count')]
    .some((one) => Number(one.textContent.replace(/\\D/g, '')) >= count)"""
RUNS_OR_FAILED = """() => document.querySelector('.lk-gcell[data-state="running"]')
    ?? document.querySelector('[data-mime-type="application/vnd.jupyter.error"]')"""
RESULTS = "import json; print(json.dumps(guarantees.results))"
ROWS = "import json; print(json.dumps(flow.snapshot().rows))"


@pytest.fixture
def lessons(server: LabServer) -> Path:
    """The lessons where the JupyterLab under test can open them."""
    for broker in BROKERS:
        require(broker)
    folder = server.root / "lessons"
    shutil.copytree(COURSE.folder, folder, dirs_exist_ok=True)
    return folder


async def open_lesson(
    open_notebook: OpenNotebook, lessons: Path, lesson: Lesson, whose: str = "learner"
) -> NotebookPage:
    viewport = {"width": 1440, "height": 1060}  # all four lanes at once
    folder = lessons / "solutions" if whose == "solved" else lessons
    return await open_notebook(path=folder / f"{lesson.file}.ipynb", viewport=viewport)


@with_a_picture
@as_both
async def test_a_lesson_runs_from_top_to_bottom_and_its_picture_is_true(
    open_notebook: OpenNotebook, lessons: Path, lesson: str, whose: str, theme: str
) -> None:
    notebook = await open_lesson(open_notebook, lessons, LESSONS[lesson], whose)
    await notebook.use_theme(f"JupyterLab {theme.title()}")
    await notebook.start_all()
    flow = FlowOnPage(notebook.page)
    await flow.root.wait_for(timeout=60_000)
    await flow.wait_for(SOMEBODY_HAS_SENT, 12 if lesson == "01_publish_subscribe" else 1, seconds=90)
    await notebook.picture_with(".lk-flow", f"{lesson}-{theme}")
    await notebook.wait_until_all_ran(180)

    assert await notebook.error_outputs() == []
    told = json.loads(await notebook.run_code(ROWS))
    for broker, title in zip(BROKERS, ("NATS", "RabbitMQ", "Redis", "Kafka"), strict=True):
        rows = [row for row in told if row[0] == title]
        assert await flow.sent(broker) == sum(int(row[2] or 0) for row in rows)
        received = sorted((row[1], int(row[7])) for row in rows if row[7])
        assert sorted(await flow.received(broker)) == received
    await notebook.picture(f"{lesson}-{theme}-at-the-end", flow.root)


@as_both
@pytest.mark.timeout(500)
async def test_the_table_of_guarantees_shows_what_a_lesson_runs(
    open_notebook: OpenNotebook, lessons: Path, whose: str, theme: str
) -> None:
    notebook = await open_lesson(open_notebook, lessons, LESSONS["02_meet_the_brokers"], whose)
    await notebook.use_theme(f"JupyterLab {theme.title()}")
    await notebook.start_all()
    await notebook.page.wait_for_function(RUNS_OR_FAILED, timeout=200_000)
    assert await notebook.error_outputs() == []
    await notebook.picture_with(".lk-guarantees .lk-gframe", f"02_meet_the_brokers-{theme}")
    await notebook.wait_until_all_ran(240)

    assert await notebook.error_outputs() == []
    told = json.loads(await notebook.run_code(RESULTS))
    shown = notebook.page.locator('.lk-gcell[data-aspect="persistence"][data-state="shown"]')
    assert await shown.count() == len(told) == 11
    await notebook.picture(f"02_meet_the_brokers-{theme}-at-the-end", notebook.page.locator(".lk-guarantees"))


async def test_the_first_cell_shows_a_card_for_each_broker_with_its_address_and_time(
    open_notebook: OpenNotebook, lessons: Path
) -> None:
    notebook = await open_lesson(open_notebook, lessons, COURSE.lessons[0])
    await notebook.start_first()
    cards = notebook.page.locator(".lk-cards .lk-card")
    await notebook.page.wait_for_function(
        "() => document.querySelectorAll('.lk-card[data-state=running]').length === 4"
    )
    for text in await cards.all_text_contents():  # not inner text: what is scrolled away has none
        assert re.search(r"ready in \d+(\.\d+)? m?s", text), text
        assert "127.0.0.1:" in text, text
    for theme in ("light", "dark"):
        await notebook.use_theme(f"JupyterLab {theme.title()}")
        await notebook.picture_with(".lk-cards", f"cards-{theme}")


async def test_a_lesson_stored_and_not_run_shows_its_pictures(
    open_notebook: OpenNotebook, lessons: Path
) -> None:
    notebook = await open_lesson(open_notebook, lessons, COURSE.lessons[1])
    pictures = notebook.page.locator('.jp-OutputArea-output img[src^="data:image/svg+xml;base64"]')
    await pictures.first.wait_for()
    assert await pictures.count() >= 2
