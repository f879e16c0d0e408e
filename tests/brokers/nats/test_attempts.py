"""Where in an acknowledgement's subject JetStream says how often it has delivered a message."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from labkit.brokers.nats.channels.stream_delivery import attempt_of


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.ORDERS.billing.3.17.21.1795616947866598114.5",
        "$JS.ACK.hub.A1B2.ORDERS.billing.3.17.21.1795616947866598114.5",
        "$JS.ACK._.A1B2.ORDERS.billing.3.17.21.1795616947866598114.5.random",
    ],
)
def test_the_attempt_is_read_with_and_without_domains(reply: str) -> None:
    native = Msg(_client=Client(), reply=reply)
    assert attempt_of(native) == native.metadata.num_delivered == 3
