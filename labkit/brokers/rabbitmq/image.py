"""How RabbitMQ's image is run: with its management page, and the lab's user and virtual host."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.brokers.rabbitmq.server import PASSWORD, USER, VHOST
from labkit.servers.recipe import Contained

__all__ = ["IMAGE", "PORTS", "contained"]

IMAGE = "rabbitmq:4.0.5-management-alpine"
PORTS = {"client": 5672, "management": 15672}
DATA = "/var/lib/rabbitmq"

ENV = {
    "RABBITMQ_DEFAULT_USER": USER,
    "RABBITMQ_DEFAULT_PASS": PASSWORD,
    "RABBITMQ_DEFAULT_VHOST": VHOST,
    # The database's folder has the node's name in it, and a container's host name is another each time.
    "RABBITMQ_NODENAME": "lab@localhost",
    # Erlang makes room for as many sockets as it may open, which in a container can be a thousand million.
    "ERL_MAX_PORTS": "4096",
    # Publishers are blocked below this many bytes of free disk.
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit disk_free_limit 50000000",
}


def contained(ports: Mapping[str, int]) -> Contained:
    """Return what is run. It listens on its standard ports inside, whatever they are outside."""
    return Contained(PORTS, DATA, env=ENV)
