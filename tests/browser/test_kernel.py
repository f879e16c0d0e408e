"""The kernel that a real JupyterLab runs notebooks on."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenNotebook
from tests.browser.lab_server import LabServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]


async def test_a_notebook_runs_on_the_labs_own_kernel(open_notebook: OpenNotebook) -> None:
    notebook = await open_notebook("1")
    assert await notebook.run_code("print(type(get_ipython().kernel.parent).__name__)") == "LabKernelApp\n"


async def test_jupyterlab_knows_every_option_it_is_given(
    open_notebook: OpenNotebook, server: LabServer
) -> None:
    await open_notebook("1")
    assert "not recognized" not in server.log.read_text()
