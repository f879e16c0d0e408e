"""JupyterLab, opened on the lessons with the settings they need."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path

from ipykernel.kernelspec import RESOURCES

from labkit.errors import SetupError
from labkit.home import home

__all__ = ["FIRST_LESSON", "lab_command", "lab_environment", "lessons_folder", "main_lab", "write_settings"]

FIRST_LESSON = "00_start_here.ipynb"

_RUN_KERNEL = "import sys; del sys.path[0]; from labkit.kernel import main; main()"
KERNEL = {
    # Without the first place in sys.path, which is the learner's folder: a file there hides no module that
    # the kernel needs. IPython puts the folder back, further down.
    "argv": [sys.executable, "-c", _RUN_KERNEL, "-f", "{connection_file}"],
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "metadata": {"debugger": True, "supported_encryption": "curve"},
}

# Nothing leaves the machine: no news, no check for updates.
QUIET_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def main_lab(
    port: int = 0, open_browser: bool = True, ip: str = "127.0.0.1", lesson: str = FIRST_LESSON
) -> int:
    """Become a JupyterLab server for the lessons; print a lesson's address; open it where there is a browser.

    This process is replaced, so whoever ends it ends JupyterLab, and nothing is left behind.
    """
    folder = lessons_folder()
    port = port or _free_port()
    token = secrets.token_hex(16)
    settings = write_settings(home() / "jupyter")
    argv = lab_command(folder, port, token, settings, open_browser=open_browser, ip=ip, lesson=lesson)
    url = f"http://127.0.0.1:{port}/lab/tree/{lesson}?token={token}"
    print(f"\nBroker Lab opens in JupyterLab in a moment:\n\n    {url}\n\nCtrl-C ends it.\n", flush=True)
    os.chdir(folder)
    os.execve(argv[0], argv, lab_environment(settings))


def lessons_folder() -> Path:
    """Return the folder of lessons: ``notebooks`` here, else in the package's checkout."""
    for folder in (Path.cwd() / "notebooks", Path(__file__).parent.parent / "notebooks"):
        if (folder / FIRST_LESSON).is_file():
            return folder
    raise SetupError("The lessons are not here.", remedy="run `labkit lab` in the folder you cloned")


def write_settings(folder: Path) -> Path:
    """Write into ``folder``, and return it: JupyterLab's settings overrides, and which kernel it runs."""
    kernel = folder / "kernels" / "python3"
    shutil.copytree(RESOURCES, kernel, dirs_exist_ok=True)  # its logo for the launcher
    (kernel / "kernel.json").write_text(json.dumps(KERNEL))
    (folder / "overrides.json").write_text(json.dumps(QUIET_SETTINGS))
    return folder


def lab_environment(settings: Path) -> dict[str, str]:
    """Return the environment for ``lab_command``: the lab's kernel is found before any other python3."""
    others = os.environ.get("JUPYTER_PATH")
    return {**os.environ, "JUPYTER_PATH": os.pathsep.join([str(settings), *([others] if others else [])])}


def lab_command(
    root: Path,
    port: int,
    token: str,
    settings: Path,
    *,
    open_browser: bool = False,
    ip: str = "127.0.0.1",
    lesson: str = FIRST_LESSON,
) -> list[str]:
    """Return the argv of a JupyterLab server that serves ``root``, and opens this lesson first.

    It listens on loopback unless ``ip`` says else. It wants ``lab_environment``.
    """
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [
        *(sys.executable, "-m", "jupyterlab", f"--ip={ip}", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--ServerApp.answer_yes=True", "--log-level=WARN"),
        "--LabApp.log_level=WARN",  # the one before is the server's alone
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"),
        *(f"--LabServerApp.app_settings_dir={settings}", f"--LabApp.default_url=/lab/tree/{lesson}"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--KernelManager.transport_encryption=auto",  # or the kernel warns of eavesdroppers
        *([] if open_browser else ["--no-browser"]),
        *(["--allow-root"] if is_root else []),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
