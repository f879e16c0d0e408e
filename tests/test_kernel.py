"""The kernel that JupyterLab runs the lessons on."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from labkit.jupyter import write_settings

ANSWER_SECONDS = 60.0
LOOK = """
import json, sys
kernel = get_ipython().kernel
manager = kernel.shell_channel_thread.manager
mended = manager._shell_socket is kernel.shell_stream
print(json.dumps([type(kernel.parent).__name__, mended, "" in sys.path]))
"""


async def test_it_answers_through_the_stream_it_reads_from_and_takes_no_module_from_the_notebooks_folder(
    tmp_path: Path,
) -> None:
    specs = KernelSpecManager(kernel_dirs=[str(write_settings(tmp_path / "settings") / "kernels")])
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "selectors.py").write_text("raise RuntimeError('a learner owns this file')")
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    await manager.start_kernel(cwd=str(notebooks))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=ANSWER_SECONDS)
        printed: list[str] = []

        def hear(message: dict[str, dict[str, str]]) -> None:
            printed.append(message["content"].get("text", ""))

        await client.execute_interactive(LOOK, output_hook=hear, timeout=ANSWER_SECONDS)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    assert json.loads("".join(printed)) == ["LabKernelApp", True, True]
