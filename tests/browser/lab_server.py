"""A JupyterLab of its own for the tests: its own folders, its own settings, nothing asked of the network."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from labkit.jupyter import lab_command, lab_environment, write_settings
from tests.support import ends_with_us

CHECKOUT = Path(__file__).parents[2]  # so that a notebook can use what tests share
START_SECONDS = 90.0
END_SECONDS = 15.0
OWN_FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
)


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab; notebooks written into ``root`` can be opened."""

    root: Path
    port: int
    token: str
    log: Path
    """What JupyterLab says in its terminal."""

    def address(self, notebook: Path) -> str:
        """Return what to open in a browser for a notebook below ``root``."""
        path = notebook.relative_to(self.root).as_posix()
        return f"http://127.0.0.1:{self.port}/lab/tree/{path}?token={self.token}&reset"


@asynccontextmanager
async def lab_server(root: Path, folder: Path) -> AsyncIterator[LabServer]:
    """Run JupyterLab on the notebooks in ``root`` and keep all it writes in ``folder``."""
    server = LabServer(root, _free_port(), secrets.token_hex(8), folder / "jupyterlab.log")
    settings = write_settings(folder / "settings")
    argv = lab_command(root, server.port, server.token, settings)
    log = server.log.open("wb")
    process = await asyncio.create_subprocess_exec(
        *ends_with_us(),
        *argv,
        "--LabApp.expose_app_in_browser=True",
        cwd=root,
        env={
            **lab_environment(settings),
            "PYTHONPATH": str(CHECKOUT),
            **{name: str(folder / name.lower()) for name in OWN_FOLDERS},
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        await _until_it_answers(server, process)
        yield server
    finally:
        await _end(process)
        log.close()


async def _until_it_answers(server: LabServer, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not await _answers(server.port):
            assert process.returncode is None, f"JupyterLab ended at once; see {server.log}"
            await asyncio.sleep(0.1)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /api HTTP/1.0\r\n\r\n")
    answer = await reader.readline()
    writer.close()
    return b"200" in answer


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, which also ends its kernels; insist after a while."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
