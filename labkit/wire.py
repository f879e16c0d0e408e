"""The bytes of one message on their way to a broker, and what they mean.

A client of its own publishes the message through a recorder on loopback, which passes everything on and keeps
what the client sent. The client and the broker notice nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from labkit.brokers import new_client
from labkit.errors import LabError
from labkit.lessons.shown import Shown, table

__all__ = ["Frame", "Part", "record"]

LOOPBACK = "127.0.0.1"
CHUNK = 65536

AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
AMQP_PUBLISH = b"\x00\x3c\x00\x28"  # class 60 (basic), method 40 (publish)
KAFKA_PRODUCE = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes in a row, and what they say. ``varies`` if they differ from message to message."""

    data: bytes
    meaning: str
    varies: bool = False

    @property
    def shown(self) -> str:
        """The bytes as text where they are text, else in hexadecimal; dots where they vary."""
        if self.varies:
            return " ".join([".."] * min(len(self.data), 8)) + (" ..." if len(self.data) > 8 else "")
        text = self.data.decode("ascii", "replace").replace("\r\n", "⏎")
        return text if (text.isprintable() and text.isascii()) or "⏎" in text else self.data.hex(" ")


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """What a client really sent for one message: ``parts`` in order, ``size`` in bytes."""

    broker: str
    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        return self._shown().text

    def _repr_html_(self) -> str:
        return self._shown().html

    def _shown(self) -> Shown:
        return table([{"Bytes": part.shown, "Meaning": part.meaning} for part in self.parts])

    @property
    def size(self) -> int:
        """How many bytes the message took on the wire, its payload included."""
        return sum(len(part.data) for part in self.parts)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(part.data for part in self.parts)


async def record(client: Any, act: Callable[[Any], Awaitable[object]], payload: bytes) -> Frame:
    """Let a new client of the same broker ``act``; return the frame in which it sent ``payload``.

    Raises ``LabError`` if no message with this payload was sent.
    """
    broker = client.broker
    async with _recorder(client.url) as sent, new_client(broker, client.url) as other:
        await act(other)
        if broker == "nats":
            await other.native.flush()
    for connection in sent:
        for parts in _READERS[broker](bytes(connection), payload):
            return Frame(broker, tuple(parts))
    raise LabError(
        f"No message with {payload!r} was sent.", remedy="publish it in `act`, on the given client"
    )


@asynccontextmanager
async def _recorder(url: str) -> AsyncIterator[list[bytearray]]:
    """Pass every new connection to the broker at ``url`` through a recorder; give what was sent on each."""
    broker_port = int(url.rsplit(":", 1)[1].split("/")[0])
    sent: list[bytearray] = []
    passing: set[asyncio.Task[None]] = set()
    loop: Any = asyncio.get_running_loop()
    connect = loop.create_connection

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await _open(connect, broker_port)
        sent.append(bytearray())
        for task in (_pass_on(reader, back, sent[-1]), _pass_on(there, writer, None)):
            passing.add(asyncio.create_task(task))

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]

    def through_recorder(protocol: Any, host: Any = None, to: Any = None, **options: Any) -> Any:
        return connect(protocol, host, port if to == broker_port else to, **options)

    loop.create_connection = through_recorder
    try:
        yield sent
    finally:
        del loop.create_connection
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _open(connect: Any, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await connect(lambda: protocol, LOOPBACK, port)
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None
) -> None:
    try:
        while data := await reader.read(CHUNK):
            if kept is not None:
                kept.extend(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side hung up; so do we
    finally:
        writer.close()


def _nats(sent: bytes, payload: bytes) -> Iterator[list[Part]]:
    """NATS speaks text: one line says the subject and the size, then the payload."""
    at = sent.find(payload)
    if at < 0:
        return
    line = sent.rfind(b"PUB ", 0, at)
    verb, subject, size = sent[line:at].split()
    yield [
        Part(verb + b" ", "publish"),
        Part(subject + b" ", "the subject"),
        Part(size + b"\r\n", "size of the payload in bytes"),
        Part(payload, "the payload"),
        Part(b"\r\n", "end"),
    ]


def _redis(sent: bytes, payload: bytes) -> Iterator[list[Part]]:
    """Redis speaks text: an array of strings, each after its size."""
    at = sent.find(payload)
    start = sent.rfind(b"*3\r\n$7\r\nPUBLISH\r\n", 0, at) if at >= 0 else -1
    if start < 0:
        return
    count, size1, verb, size2, channel, size3 = sent[start:at].split(b"\r\n")[:6]
    yield [
        Part(count + b"\r\n", "an array of 3 strings follows"),
        Part(size1 + b"\r\n" + verb + b"\r\n", "the command, after its size"),
        Part(size2 + b"\r\n" + channel + b"\r\n", "the channel, after its size"),
        Part(size3 + b"\r\n", "size of the payload in bytes"),
        Part(payload, "the payload"),
        Part(b"\r\n", "end"),
    ]


def _rabbitmq(sent: bytes, payload: bytes) -> Iterator[list[Part]]:
    """AMQP 0-9-1 speaks frames: a method, the message's properties, its body."""
    frames = list(_amqp_frames(sent.removeprefix(AMQP_GREETING)))
    for method, header, body in zip(frames, frames[1:], frames[2:], strict=False):
        if method[7:11] == AMQP_PUBLISH and body[7:-1] == payload:
            exchange_end = 14 + method[13]
            key_end = exchange_end + 1 + method[exchange_end]
            yield [
                Part(method[:7], "frame: method, its AMQP channel, its size"),
                Part(method[7:13], "basic.publish"),
                Part(method[13:14], "size of the exchange's name"),
                Part(method[14:exchange_end], "the exchange"),
                Part(method[exchange_end : exchange_end + 1], "size of the routing key"),
                Part(method[exchange_end + 1 : key_end], "the routing key"),
                Part(method[key_end:], "flags (mandatory?), end of frame"),
                Part(header[:7], "frame: header, its AMQP channel, its size"),
                Part(header[7:], "size of the body, properties (persistent, a fresh id), end of frame", True),
                Part(body[:7], "frame: body, its AMQP channel, its size"),
                Part(payload, "the payload"),
                Part(body[-1:], "end of frame"),
            ]


def _amqp_frames(data: bytes) -> Iterator[bytes]:
    while len(data) > 7:
        size = int.from_bytes(data[3:7]) + 8
        yield data[:size]
        data = data[size:]


def _kafka(sent: bytes, payload: bytes) -> Iterator[list[Part]]:
    """Kafka speaks requests: a header, then a batch of records as it will lie on disk."""
    for request in _kafka_requests(sent):
        at = request.find(payload)
        if request[4:6] != KAFKA_PRODUCE or at < 0:
            continue
        id_end = 14 + int.from_bytes(request[12:14])
        yield [
            Part(request[:4], "size of the request in bytes"),
            Part(request[4:6], "what is asked: 0 is Produce"),
            Part(request[6:8], "version of the question"),
            Part(request[8:12], "number of the request", True),
            Part(request[12:14], "size of the client's name"),
            Part(request[14:id_end], "the client"),
            *_kafka_batch(request[id_end:at]),
            Part(payload, "the payload: the record's value"),
            Part(request[at + len(payload) :], "the headers: how many, name and value of each; end"),
        ]


def _kafka_batch(data: bytes) -> Iterator[Part]:
    """Yield what stands between the client's name and the payload: acks, topic, the batch's header, key."""
    # The topic is the only text in here: its size in two bytes, then its letters.
    start = next(at for at in range(len(data)) if data[at : at + 1].isalpha())
    size = int.from_bytes(data[start - 2 : start])
    yield Part(data[:start], "wait for all replicas (acks), patience in ms, size of the topic's name")
    yield Part(data[start : start + size], "the topic")
    yield Part(
        data[start + size :], "partition; the batch: offset, checksum, times, key's and value's size", True
    )


def _kafka_requests(data: bytes) -> Iterator[bytes]:
    while len(data) > 4:
        size = int.from_bytes(data[:4]) + 4
        yield data[:size]
        data = data[size:]


_READERS: dict[str, Callable[[bytes, bytes], Iterator[list[Part]]]] = {
    "nats": _nats,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "kafka": _kafka,
}
