"""Where a Kafka broker is, and who wants to talk to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

__all__ = ["Address"]

SCHEME = "kafka://"


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address as clients of aiokafka want it.

    ``bootstrap`` is ``host:port``, or several with commas between. With a ``user`` the connection logs in
    (SASL); ``mechanism`` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. With ``tls`` it is encrypted.
    """

    bootstrap: str
    user: str | None = None
    password: str = field(default="", repr=False)
    mechanism: str = "PLAIN"
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, *, mechanism: str = "PLAIN", tls: ssl.SSLContext | None = None) -> Address:
        """Read ``kafka://user:password@host:port``; user and password may be missing, or percent-encoded."""
        login, _, bootstrap = url.removeprefix(SCHEME).rstrip("/").rpartition("@")
        user, _, password = login.partition(":")
        return cls(bootstrap, unquote(user) or None, unquote(password), mechanism, tls)

    @property
    def protocol(self) -> str:
        """Kafka's own name for how this connection is secured."""
        transport = "PLAINTEXT" if self.tls is None else "SSL"
        return transport if self.user is None else f"SASL_{transport}"

    def security(self) -> dict[str, Any]:
        """Return the options every client class of aiokafka takes; none for a plain connection."""
        options: dict[str, Any] = {}
        if self.protocol != "PLAINTEXT":
            options |= {"security_protocol": self.protocol, "ssl_context": self.tls}
        if self.user is not None:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.user
            options["sasl_plain_password"] = self.password
        return options

    def options(self) -> dict[str, Any]:
        """Return ``security()`` and where to connect to."""
        return {"bootstrap_servers": self.bootstrap, **self.security()}
