"""What can go wrong, as one tree.

    LabError
    ├── SetupError            the machine is not ready
    │   ├── ProgramMissing    no program for a broker could be found
    │   │   ├── EngineMissing    no Docker, or no permission to use it
    │   │   └── ImageMissing     no such image, and no way to fetch it
    │   └── InstallFailed     a program could not be fetched or unpacked
    ├── ServerError           a broker's process
    │   ├── StartFailed       it did not come up; carries the last lines of its log
    │   ├── PortTaken         somebody else listens there
    │   ├── FolderUnusable    the data folder cannot be written, is full, or is in use
    │   └── NotRunning        an act on a broker in a state that does not allow it
    └── BrokerError           a conversation with a broker
        ├── ConnectFailed     no connection could be made
        │   └── LoginRefused  the broker is there, and does not let us in
        ├── ConnectionLost    the broker went away, or the connection to it broke
        ├── NoAnswer          the broker did not answer in time
        ├── NotFound          no such queue, stream, topic or group
        ├── NotAllowed        this user may not do that
        ├── Conflict          it exists already, made differently
        ├── PublishFailed     a message was not confirmed
        │   ├── PublishRefused   certainly not accepted
        │   │   ├── PublishNotFound     what it was sent to is not there: a NotFound too
        │   │   ├── PublishNotAllowed   this user may not: a NotAllowed too
        │   │   └── PublishConflict     what is there is of another type: a Conflict too
        │   └── PublishInDoubt   nobody knows whether the broker has it
        ├── NoReply           a request got no reply
        │   └── NoResponders  the broker says that nobody is there to reply
        ├── SettleFailed      an acknowledgement that the broker cannot take any more
        ├── PayloadError      a value that is no JSON, or bytes that do not decode
        ├── ChannelClosed     used after it was closed
        └── Unsupported       this broker has no such thing; says why

Every error says what happened, to what, and what to try. Native errors are kept as ``__cause__``.
"""

from __future__ import annotations

__all__ = [
    "BrokerError",
    "ChannelClosed",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "EngineMissing",
    "FolderUnusable",
    "ImageMissing",
    "InstallFailed",
    "LabError",
    "LoginRefused",
    "NoAnswer",
    "NoReply",
    "NoResponders",
    "NotAllowed",
    "NotFound",
    "NotRunning",
    "PayloadError",
    "PortTaken",
    "ProgramMissing",
    "PublishConflict",
    "PublishFailed",
    "PublishInDoubt",
    "PublishNotAllowed",
    "PublishNotFound",
    "PublishRefused",
    "ServerError",
    "SettleFailed",
    "SetupError",
    "StartFailed",
    "Unsupported",
]


class LabError(Exception):
    """Root of every error the lab raises.

    ``what`` is one sentence about what happened; ``broker`` names the broker it happened to, if one;
    ``remedy`` is what to try next, empty where there is nothing to try.
    """

    def __init__(self, what: str, *, broker: str | None = None, remedy: str = "") -> None:
        super().__init__(what, broker, remedy)
        self.what = what
        self.broker = broker
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  Try: {self.remedy}" if self.remedy else self.what

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments do not survive pickling by themselves; errors cross process borders in tests.
        return (_rebuild, (type(self), self.what, dict(self.__dict__)))


def _rebuild(kind: type[LabError], what: str, state: dict[str, object]) -> LabError:
    error = kind.__new__(kind)
    Exception.__init__(error, what)
    error.__dict__.update(state)
    return error


class SetupError(LabError):
    """The machine is not ready to run the lab."""


class ProgramMissing(SetupError):
    """No program for a broker could be found; ``remedy`` is the command that gets it."""


class EngineMissing(ProgramMissing):
    """There is no container engine, or this user may not use it."""


class ImageMissing(ProgramMissing):
    """A broker's container image is not here and cannot be fetched."""


class InstallFailed(SetupError):
    """A broker's program could not be fetched, checked or unpacked."""


class ServerError(LabError):
    """A broker's process could not do what was asked."""


class StartFailed(ServerError):
    """A broker did not become ready; ``log`` holds the last lines it wrote."""

    def __init__(self, what: str, *, broker: str | None = None, remedy: str = "", log: str = "") -> None:
        super().__init__(what, broker=broker, remedy=remedy)
        self.log = log

    def __str__(self) -> str:
        head = super().__str__()
        if not self.log:
            return head
        return head + "\n  Its last words:\n" + "\n".join(f"    {line}" for line in self.log.splitlines())


class PortTaken(StartFailed):
    """Somebody else already listens on a port the broker was told to use."""


class FolderUnusable(StartFailed):
    """The broker's folder cannot be written, is full, or belongs to a running broker."""


class NotRunning(ServerError):
    """The broker is not in a state that allows what was asked (say, pausing a stopped one)."""


class BrokerError(LabError):
    """A conversation with a broker went wrong; the client's own error is ``__cause__``."""


class ConnectFailed(BrokerError):
    """No connection could be made."""


class LoginRefused(ConnectFailed):
    """The broker answers, and does not let us in: a wrong user, password, virtual host or certificate."""


class ConnectionLost(BrokerError):
    """The broker went away, or the connection to it broke, while it was asked something."""


class NoAnswer(BrokerError):
    """The broker did not answer in time. It may do what it was asked all the same."""


class NotFound(BrokerError):
    """There is no such queue, stream, topic, consumer or group."""


class NotAllowed(BrokerError):
    """This user may not do that here."""


class Conflict(BrokerError):
    """Something of this name exists, and was made differently."""


class PublishFailed(BrokerError):
    """The broker did not confirm a message."""


class PublishRefused(PublishFailed):
    """The broker certainly does not have the message: it said so, or it was never sent."""


class PublishNotFound(PublishRefused, NotFound):
    """The message was refused because what it was sent to is not there."""


class PublishNotAllowed(PublishRefused, NotAllowed):
    """The message was refused because this user may not send it there."""


class PublishConflict(PublishRefused, Conflict):
    """The message was refused because what has that name is of another type."""


class PublishInDoubt(PublishFailed):
    """The message was sent and not confirmed: nobody knows whether the broker has it."""


class NoReply(BrokerError):
    """A request got no reply in time. Somebody may have worked on it all the same."""


class NoResponders(NoReply):
    """The broker says that nobody is there who could reply."""


class SettleFailed(BrokerError):
    """The broker cannot take this acknowledgement any more; where it redelivers, it will."""


class PayloadError(BrokerError):
    """A value that cannot be sent as JSON, or bytes that are none."""


class ChannelClosed(BrokerError):
    """A channel or subscription was used after it was closed."""


class Unsupported(BrokerError):
    """This broker has no such operation; ``what`` says why."""
