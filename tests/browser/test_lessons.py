"""Both lessons in a real JupyterLab in a real browser: Run All, as a learner would."""

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
every_lesson = pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.file)

HAS_SENT = """(root, count) => {
    const texts = [...root.querySelectorAll('.lk-publisher .lk-count')].map((one) => one.textContent);
    return texts.length > 0 && texts.every((text) => Number(text.replace(/\\D/g, '')) >= count);
}"""
ROWS = "import json; print(json.dumps(flow.snapshot().rows))"


@pytest.fixture
def lessons(server: LabServer) -> Path:
    """The lessons where the JupyterLab under test can open them."""
    for broker in BROKERS:
        require(broker)
    folder = server.root / "lessons"
    shutil.copytree(COURSE.folder, folder, dirs_exist_ok=True)
    return folder


async def open_lesson(open_notebook: OpenNotebook, lessons: Path, lesson: Lesson) -> NotebookPage:
    viewport = {"width": 1440, "height": 1060}  # all four lanes at once
    return await open_notebook(path=lessons / f"{lesson.file}.ipynb", viewport=viewport)


@every_lesson
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_lesson_runs_from_top_to_bottom_and_its_picture_is_true(
    open_notebook: OpenNotebook, lessons: Path, lesson: Lesson, theme: str
) -> None:
    notebook = await open_lesson(open_notebook, lessons, lesson)
    await notebook.use_theme(f"JupyterLab {theme.title()}")
    await notebook.start_all()
    flow = FlowOnPage(notebook.page)
    await flow.root.wait_for(timeout=60_000)
    await flow.wait_for(HAS_SENT, 12 if lesson.exercises else 1)
    await notebook.bring_into_view(".lk-flow")
    await notebook.picture(f"{lesson.file}-{theme}")
    await notebook.wait_until_all_ran(180)

    assert await notebook.error_outputs() == []
    told = json.loads(await notebook.run_code(ROWS))
    for broker, title in zip(BROKERS, ("NATS", "RabbitMQ", "Redis", "Kafka"), strict=True):
        rows = [row for row in told if row[0] == title]
        assert await flow.sent(broker) == sum(int(row[2] or 0) for row in rows)
        assert await flow.received(broker) == {row[1]: int(row[7]) for row in rows if row[7]}
    await notebook.picture(f"{lesson.file}-{theme}-at-the-end", flow.root)


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
        await notebook.bring_into_view(".lk-cards")
        await notebook.picture(f"cards-{theme}")


async def test_a_lesson_stored_and_not_run_shows_its_pictures(
    open_notebook: OpenNotebook, lessons: Path
) -> None:
    notebook = await open_lesson(open_notebook, lessons, COURSE.lessons[1])
    pictures = notebook.page.locator('.jp-OutputArea-output img[src^="data:image/svg+xml;base64"]')
    await pictures.first.wait_for()
    assert await pictures.count() >= 2
