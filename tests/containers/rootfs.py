"""An image's files, written into a tar as the engine wants them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["Rootfs"]


class Rootfs:
    """The files of an image with one layer. Paths are relative to its root."""

    def __init__(self, path: str) -> None:
        self._tar = tarfile.open(path, "w")  # noqa: SIM115  # closed by __exit__
        self._added: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def folder(self, path: str, *, mode: int = 0o755, user: int = 0) -> None:
        """Add a folder."""
        self._add(self._about(path, tarfile.DIRTYPE, mode, user))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        info = self._about(path, tarfile.SYMTYPE, 0o777)
        info.linkname = target
        self._add(info)

    def text(self, path: str, text: str, *, mode: int = 0o644, user: int = 0) -> None:
        """Add a file with this text."""
        data = text.encode()
        info = self._about(path, tarfile.REGTYPE, mode, user)
        info.size = len(data)
        self._add(info, io.BytesIO(data))

    def file(self, source: Path, path: str) -> None:
        """Add a file of this machine as a program."""
        info = self._about(path, tarfile.REGTYPE, 0o755)
        info.size = source.stat().st_size
        with source.open("rb") as data:
            self._add(info, data)

    def tree(self, source: Path, path: str) -> None:
        """Add all that is in a folder of this machine, owned by root and readable by all."""
        for parent in reversed(Path(path).parents):
            if parent.name:
                self.folder(str(parent))
        for one in (source, *sorted(source.rglob("*"))):
            info = _readable(self._tar.gettarinfo(one, str(Path(path) / one.relative_to(source))))
            if info.isreg():
                with one.open("rb") as data:
                    self._add(info, data)
            else:
                self._add(info)

    def _add(self, info: tarfile.TarInfo, data: IO[bytes] | None = None) -> None:
        if info.name not in self._added:  # the engine takes no name twice
            self._added.add(info.name)
            self._tar.addfile(info, data)

    def _about(self, path: str, kind: bytes, mode: int, user: int = 0) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode, info.uid, info.gid = kind, mode, user, user
        return info


def _readable(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file to root, for all to read."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode |= 0o755 if info.isdir() or info.mode & os.X_OK else 0o644
    return info
