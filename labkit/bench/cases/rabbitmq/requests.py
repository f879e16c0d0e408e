"""Requests through a classic queue, replies straight to the connection that asks; nothing is persistent."""

from __future__ import annotations

import asyncio

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from labkit.bench.cases.rabbitmq.native import PREFETCH, new_faststream, open_channel
from labkit.bench.cases.rabbitmq.queue import classic, our_queue
from labkit.bench.cell import Operation
from labkit.bench.kind import REPLY_SECONDS, Work
from labkit.bench.stage import Stage

__all__ = ["classic"]


@classic.raw(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    replier, asker = await open_channel(stage), await open_channel(stage)
    waiting: dict[str, asyncio.Future[bytes]] = {}

    async def reply(message: AbstractIncomingMessage) -> None:
        async with message.process():
            answer = aio_pika.Message(message.body, correlation_id=message.correlation_id)
            await replier.default_exchange.publish(answer, message.reply_to or "")

    async def hear(message: AbstractIncomingMessage) -> None:
        waiting.pop(message.correlation_id or "").set_result(message.body)

    await (await classic.queue(replier, stage.name)).consume(reply)
    replies = await asker.declare_queue("amq.rabbitmq.reply-to", passive=True)
    await replies.consume(hear, no_ack=True)

    async def ask(payload: bytes) -> bytes:
        number = payload[:8].decode()
        answer = waiting[number] = asyncio.get_running_loop().create_future()
        question = aio_pika.Message(payload, correlation_id=number, reply_to=replies.name)
        await asker.default_exchange.publish(question, stage.name)
        return await asyncio.wait_for(answer, REPLY_SECONDS)

    return ask


@classic.ours(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    queue = await our_queue(classic, stage)
    subscription = await stage.enter(queue.subscribe("quoter", prefetch=PREFETCH))
    subscription.run(lambda request: request.reply(request.data, persistent=False))
    caller = await (await stage.client()).caller()

    async def ask(payload: bytes) -> bytes:
        reply = await caller.call(stage.name, payload, timeout=REPLY_SECONDS, persistent=False)
        data: bytes = reply.data
        return data

    return ask


@classic.faststream(Operation.REQUEST)
async def _(stage: Stage) -> Work:
    from faststream.rabbit import RabbitQueue

    replier, broker = new_faststream(stage), await stage.started(new_faststream(stage))

    async def reply(body: bytes) -> bytes:
        return body

    replier.subscriber(RabbitQueue(stage.name, declare=False))(reply)
    await stage.started(replier)

    async def ask(payload: bytes) -> bytes:
        body: bytes = (await broker.request(payload, queue=stage.name, timeout=REPLY_SECONDS)).body
        return body

    return ask
