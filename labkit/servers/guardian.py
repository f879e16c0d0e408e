"""The process that owns the brokers of one lab, and ends them with the lab's owner.

It holds one end of a connection to its owner. When the other end closes, however the owner died, it ends
every broker, removes the lab's folder unless it is kept, and leaves. A lab of ``labkit up`` has no owner: its
guardian listens on loopback for whoever knows the token in the lab's folder, and leaves when it is told to.

Run by its path with the standard library only, so that it is there in a few hundredths of a second. It has
one thread, because Linux ends a child with the *thread* that made it (PR_SET_PDEATHSIG).

A lab with containers also has a cleaner: a process that the guardian starts, and that removes the containers
when the pipe between the two closes. So they go even if the guardian itself is killed.

One JSON object a line. Asked: ``run`` a broker, ``signal`` one, ``list`` them, ``clean`` with a cleaner,
``end`` the lab. Told, to everyone connected: ``run``, ``failed``, ``stopped``, ``continued``, ``exit``.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["ADDRESS_FILE", "Guardian", "main"]

ADDRESS_FILE = "guardian.json"
"""Where the guardian of a lab that stays writes its process id, port and token."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
END_SECONDS = 5.0
CLEAN_SECONDS = 60.0

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Guardian:
    """Owns processes for whoever is connected."""

    def __init__(self, folder: Path, owner: socket.socket, lock: int, *, keep: bool, stays: bool) -> None:
        self._folder = folder
        self._owner = owner
        self._lock = lock
        self._cleaner: subprocess.Popen[bytes] | None = None
        self._keep = keep
        self._stays = stays
        self._is_over = False
        self._prefix = _die_with_parent_prefix()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._asked_to_end: set[str] = set()
        self._unread: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._watch_children()
        self._welcome(owner)
        if stays:
            self._listen()

    def serve(self) -> None:
        """Do what is asked until the lab is over; then leave nothing."""
        while not self._is_over:
            for key, _ in self._selector.select():
                key.data()
        self._let_cleaner_clean()
        self._end_all()
        if not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _watch_children(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

        def child_changed() -> None:
            os.read(reading, 4096)
            self._reap()

        self._selector.register(reading, selectors.EVENT_READ, child_changed)

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        token = secrets.token_hex(16)
        address = {"pid": os.getpid(), "port": listener.getsockname()[1], "token": token}
        path = self._folder / ADDRESS_FILE
        path.touch(0o600)
        path.write_text(json.dumps(address))

        def accept() -> None:
            visitor, _ = listener.accept()
            visitor.settimeout(1.0)
            try:
                knows = secrets.compare_digest(visitor.recv(64).strip(), token.encode())
            except OSError:
                knows = False
            if knows:
                self._welcome(visitor)
                self._tell({"event": "welcome"}, visitor)
            else:
                visitor.close()

        self._selector.register(listener, selectors.EVENT_READ, accept)

    def _welcome(self, client: socket.socket) -> None:
        client.setblocking(False)
        self._unread[client] = b""
        self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._goodbye(client)
            return
        *lines, self._unread[client] = (self._unread[client] + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line), client)

    def _goodbye(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._unread[client]
        client.close()
        if client is self._owner and not self._stays:
            self._is_over = True

    def _do(self, asked: dict[str, Any], client: socket.socket) -> None:
        acts: dict[str, Callable[[], None]] = {
            "run": lambda: self._run(asked),
            "signal": lambda: self._signal(asked["name"], asked["signal"], asked["ends"]),
            "list": lambda: self._list(client),
            "clean": lambda: self._start_cleaner(asked["argv"]),
            "end": self._end,
        }
        acts[asked["do"]]()

    def _run(self, asked: dict[str, Any]) -> None:
        name = asked["name"]
        at = time.monotonic()  # one clock for all processes of a machine
        try:
            _require_program(asked["argv"][0])
            with Path(asked["log"]).open("ab") as log:
                process = subprocess.Popen(
                    [*self._prefix, *asked["argv"]],
                    env=asked["env"],
                    cwd=asked["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent if _libc and not self._prefix else None,
                )
        except (OSError, subprocess.SubprocessError) as error:
            self._tell({"event": "failed", "name": name, "why": str(error)})
            return
        self._running[name] = process
        self._asked_to_end.discard(name)
        self._tell({"event": "run", "name": name, "pid": process.pid, "at": at})

    def _signal(self, name: str, number: int, ends: bool) -> None:
        process = self._running.get(name)
        if process is None:
            return
        if ends:
            self._asked_to_end.add(name)
        _send_signal(process.pid, number)

    def _list(self, client: socket.socket) -> None:
        pids = {name: process.pid for name, process in self._running.items()}
        self._tell({"event": "list", "pids": pids}, client)

    def _end(self) -> None:
        self._is_over = True

    def _start_cleaner(self, argv: list[str]) -> None:
        """Start the cleaner. It holds the lab's lock too: nobody may claim the folder before it is done."""
        if self._cleaner is None:
            self._cleaner = subprocess.Popen(
                argv, stdin=subprocess.PIPE, start_new_session=True, pass_fds=(self._lock,)
            )

    def _let_cleaner_clean(self) -> None:
        if self._cleaner is None or self._cleaner.stdin is None:
            return
        self._cleaner.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._cleaner.wait(CLEAN_SECONDS)

    def _reap(self) -> None:
        """Hear of every child that ended, stopped or went on; of those we adopted, only clean up."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = next((name for name, process in self._running.items() if process.pid == pid), None)
            if name is not None:
                self._changed(name, pid, status)

    def _changed(self, name: str, pid: int, status: int) -> None:
        if os.WIFSTOPPED(status):
            self._tell({"event": "stopped", "name": name})
        elif os.WIFCONTINUED(status):
            self._tell({"event": "continued", "name": name})
        else:
            code = os.waitstatus_to_exitcode(status)
            self._running.pop(name).returncode = code
            _send_signal(pid, signal.SIGKILL)  # whoever is left in its group
            asked = name in self._asked_to_end
            self._tell({"event": "exit", "name": name, "code": code, "asked": asked})

    def _tell(self, event: dict[str, Any], only: socket.socket | None = None) -> None:
        line = json.dumps(event).encode() + b"\n"
        for client in [only] if only else list(self._unread):
            with suppress(OSError):  # gone, or frozen: that is noticed when it is read from
                client.send(line)

    def _end_all(self) -> None:
        """Kill every broker, and on Linux what they left to us, and wait until all of it is gone."""
        for process in self._running.values():
            _send_signal(process.pid, signal.SIGKILL)
        give_up = time.monotonic() + END_SECONDS
        while time.monotonic() < give_up:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    for pid in _children():
                        _send_signal(pid, signal.SIGKILL, group=False)
                    time.sleep(0.005)
            except ChildProcessError:
                return


def _require_program(path: str) -> None:
    if not os.access(path, os.X_OK):
        raise PermissionError(f"{path} is not there, or not executable")


def _die_with_parent_prefix() -> tuple[str, ...]:
    """Return the command that runs another so that it dies with us, nothing where there is none.

    Python can do it without, but then copies itself first (fork instead of vfork): 3 ms instead of half a
    millisecond, where NATS and Redis need ten to start.
    """
    setpriv = shutil.which("setpriv") if _libc else None
    prefix = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
    # BusyBox has one that cannot do this.
    works = setpriv and subprocess.run([*prefix, setpriv, "-V"], capture_output=True).returncode == 0
    return prefix if works else ()


def _die_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _send_signal(pid: int, number: int, *, group: bool = True) -> None:
    # Already gone is fine; macOS says "not permitted" of a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)


def _children() -> list[int]:
    """Return our children, the adopted ones included; on Linux only, elsewhere nothing is adopted."""
    if _libc is None:
        return []
    pid = os.getpid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Guard a lab: ``guardian.py SETTINGS``, JSON: the folder, its lock, the owner's socket, keep, stays."""
    settings = json.loads(sys.argv[1])
    # Handlers, not SIG_IGN: what is ignored would be inherited by the brokers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    owner = socket.socket(fileno=settings["owner"])
    folder, lock = Path(settings["folder"]), settings["lock"]
    guardian = Guardian(folder, owner, lock, keep=settings["keep"], stays=settings["stays"])
    guardian.serve()


if __name__ == "__main__":
    main()
