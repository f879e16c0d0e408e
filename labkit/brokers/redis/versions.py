"""Which server this is, and what is too new for it."""

from __future__ import annotations

from typing import NamedTuple

from labkit.errors import Unsupported

__all__ = ["SINCE", "ServerVersion", "version_in"]

SINCE = {
    "XACKDEL": "8.2",
    "XREADGROUP CLAIM": "8.4",
    "XADD IDMP": "8.6",
    "XNACK": "8.8",
}
"""Commands that not every server has, and the version of Redis that brought them. Valkey has none of them."""


class ServerVersion(NamedTuple):
    """Redis or Valkey, and its version. Valkey began as a copy of Redis 7.2.4, and counts on its own."""

    product: str
    number: str

    def has(self, command: str) -> bool:
        """Return whether this server knows one of the commands in ``SINCE``."""
        return self.product == "Redis" and _numbers(self.number) >= _numbers(SINCE[command])

    def require(self, command: str) -> None:
        """Raise ``Unsupported`` if this server is too old for one of the commands in ``SINCE``."""
        if not self.has(command):
            raise Unsupported(
                f"{self.product} {self.number} has no {command}.",
                broker="redis",
                remedy=f"use Redis {SINCE[command]} or newer",
            )

    def __str__(self) -> str:
        return f"{self.product} {self.number}"


def version_in(hello: dict[bytes, object]) -> ServerVersion:
    """Return what a server says about itself when it is greeted with HELLO, which any user may."""
    product, number = (hello.get(name, b"") for name in (b"server", b"version"))
    assert isinstance(product, bytes)
    assert isinstance(number, bytes)
    return ServerVersion(product.decode().capitalize(), number.decode())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
