"""How a broker runs: a child process of the lab's guardian, or somebody else's."""

from labkit.servers.fleet import Fleet
from labkit.servers.server import Server, State

__all__ = ["Fleet", "Server", "State"]
