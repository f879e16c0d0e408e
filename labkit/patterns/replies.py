"""What request and reply shares on all brokers: who asks, who answers, how a reply finds its question."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager
from secrets import token_hex
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from labkit.brokers.channel import Channel
from labkit.brokers.client import BrokerClient
from labkit.brokers.delivery import Delivery
from labkit.brokers.subscription import Subscription
from labkit.errors import BrokerError, NoReply
from labkit.topology import Lane, LaneSubscriber

__all__ = ["Gathered", "Handler", "Mailbox", "Reply", "RequestReply", "Responder"]

AnyClient = TypeVar("AnyClient", bound=BrokerClient)
Handler = Callable[[Any], Awaitable[Any]]
"""Works on a request, and returns what to reply: anything that JSON can carry."""

log = logging.getLogger("labkit")


class Reply(NamedTuple):
    """A reply: the responder's name, and what it says."""

    by: str
    value: Any


class Gathered(NamedTuple):
    """What came of asking many: answers by responder, in the order they came, and who was silent."""

    answers: Mapping[str, Any]
    silent: tuple[str, ...]


class Mailbox:
    """The replies to one asker, each for the question of its id. What comes when nobody waits is late."""

    def __init__(self) -> None:
        self.late = 0
        self._waiting: dict[str, asyncio.Queue[Mapping[str, Any]]] = {}

    @contextmanager
    def question(self) -> Iterator[tuple[str, asyncio.Queue[Mapping[str, Any]]]]:
        """Return a new id and what takes the replies to it, as long as the block runs."""
        number = token_hex(8)
        replies = self._waiting[number] = asyncio.Queue()
        try:
            yield number, replies
        finally:
            del self._waiting[number]

    def take(self, number: str, reply: Mapping[str, Any]) -> None:
        """Hand a reply to the question it belongs to."""
        replies = self._waiting.get(number)
        if replies is None:
            self.late += 1
        else:
            replies.put_nowait(reply)


class Responder:
    """Somebody who answers, one request after another.

    ``taken`` and ``replied`` count requests; ``skipped`` those whose time was over, and ``unsent`` the
    replies that the broker did not take. What the handler raises ends it, and is raised by ``leave``.
    """

    def __init__(
        self, name: str, handler: Handler, service: RequestReply[Any], subscription: Subscription[Any]
    ) -> None:
        self.name = name
        self.handler = handler
        self.subscription = subscription
        self.taken = self.replied = self.skipped = self.unsent = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._service = service

    async def take(self, delivery: Delivery) -> None:
        """Work on a request and reply, unless nobody waits for that any more."""
        if self._service.skips_expired and self._service.is_expired(delivery):
            self.skipped += 1
            return
        self.taken += 1
        self._is_idle.clear()
        try:
            value = await self.handler(self._service.request_in(delivery))
            await self._reply(delivery, value)
        finally:
            self._is_idle.set()

    async def _reply(self, delivery: Delivery, value: Any) -> None:
        try:
            await self._service.reply(delivery, {"by": self.name, "value": value})
        except BrokerError as error:
            self.unsent += 1  # the asker learns it by silence
            log.info("%s did its work and could not reply: %s", self.name, error)
        else:
            self.replied += 1

    async def idle(self) -> None:
        """Wait until no request is in hand, and the broker has the reply to the last one, or not."""
        await self._is_idle.wait()

    def __repr__(self) -> str:
        return f"<{self.name} took {self.taken}, replied {self.replied}>"


class RequestReply(ABC, Generic[AnyClient]):
    """One service on one broker, as one program that asks it sees it. A recipe below says how.

    Make it ready with ``open``. ``asker`` is that program's name; no two that ask the same service have the
    same. Whoever answers is in ``responders``; ``serve`` and ``join`` add to them.
    """

    native: ClassVar[str]
    """What the broker brings, in its own words."""

    built: ClassVar[str]
    """What the recipe had to build, because the broker has no such thing; empty if nothing."""

    def __init__(self, client: AnyClient, service: str = "stock", asker: str = "checkout") -> None:
        self.client = client
        self.service = service
        self.asker = asker
        self.responders: dict[str, Responder] = {}
        self.skips_expired = True
        """Whether a responder leaves a request alone whose asker waits no more, where the recipe can tell."""

    @property
    def broker(self) -> str:
        """The broker's name."""
        return self.client.broker

    @property
    @abstractmethod
    def late(self) -> int:
        """How many replies came when nobody waited for them any more. They went to no other request."""

    async def open(self) -> Self:
        """Make ready for replies. Raises ``BrokerError``."""
        return self

    async def ask(self, request: object, within: float = 1.0) -> Reply:
        """Ask one of those who serve, and return the reply.

        Raises ``NoReply`` if there is none within so many seconds, or if the connection was lost: the work
        may have been done all the same. Raises ``NoResponders``, one of its kind, where the broker says that
        nobody is there; ``PublishFailed`` if the broker did not take the request.
        """
        try:
            async with asyncio.timeout(within):
                return Reply(**await self._ask(request, within))
        except TimeoutError as error:
            raise NoReply(
                f"{self.service} did not reply to {self.asker} within {within:g} s.",
                broker=self.broker,
                remedy="ask again only if doing it twice does no harm: the work may have been done",
            ) from error

    async def ask_all(self, request: object, of: Collection[str], within: float = 1.0) -> Gathered:
        """Ask everybody who joined, and return what came in time, and who of these names was silent.

        It returns as soon as all of ``of`` have answered. Raises ``NoResponders`` where the broker says that
        nobody is there; ``PublishFailed`` if it did not take the request.
        """
        answers: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within), aclosing(self._ask_all(request, within)) as replies:
                async for reply in replies:
                    answers[reply["by"]] = reply["value"]
                    if answers.keys() >= set(of):
                        break
        except TimeoutError:
            pass  # what came by now is the answer
        return Gathered(answers, tuple(name for name in of if name not in answers))

    async def serve(self, name: str, handler: Handler) -> Responder:
        """Let somebody answer, or come back; each request goes to one of those who serve.

        Returns when the broker knows.
        """
        return await self._begin(name, handler, await self._listen(name))

    async def join(self, name: str, handler: Handler) -> Responder:
        """Let somebody answer who is asked every time: what ``ask_all`` asks goes to all who joined."""
        return await self._begin(name, handler, await self._listen_too(name))

    async def _begin(self, name: str, handler: Handler, subscription: Subscription[Any]) -> Responder:
        responder = self.responders.setdefault(name, Responder(name, handler, self, subscription))
        responder.handler, responder.subscription = handler, subscription
        await subscription.open()
        subscription.run(responder.take)
        return responder

    async def leave(self, name: str) -> None:
        """Let a responder go away, in the middle of its work if it is at work."""
        await self.responders[name].subscription.close()

    async def close(self) -> None:
        """Let every responder go away, and ask no more."""
        for name in self.responders:
            await self.leave(name)

    async def lanes(self) -> list[Lane]:
        """Return two rows for the live picture: the requests, and the replies."""
        channel = await self.channel()
        there = Lane.of(channel, *self.responders.values(), publishers=(self.asker,))
        back = Lane(
            broker=self.broker,
            kind="replies",
            name=self.replies_name,
            subscribers=(LaneSubscriber(self.asker),),
            publishers=tuple(self.responders) or (self.service,),
            channels=(self.replies_name,),
            confirms=channel.confirms,
        )
        return [there, back]

    @property
    def replies_name(self) -> str:
        """Where the replies go, as the feed knows it."""
        return f"{self.service}.replies"

    def is_expired(self, delivery: Any) -> bool:
        """Return whether nobody waits for the reply to this request any more, as far as it says."""
        return False

    def request_in(self, delivery: Any) -> Any:
        """Return what was asked."""
        return delivery.value

    @abstractmethod
    async def channel(self) -> Channel:
        """Return the broker's own channel for the requests."""

    @abstractmethod
    async def _listen(self, name: str) -> Subscription[Any]:
        """Return a subscription, not yet open, that shares the requests with others."""

    @abstractmethod
    async def _listen_too(self, name: str) -> Subscription[Any]:
        """Return a subscription, not yet open, that gets every request to all."""

    @abstractmethod
    async def _ask(self, request: object, within: float) -> Mapping[str, Any]:
        """Send a request to one; return the first reply."""

    @abstractmethod
    def _ask_all(self, request: object, within: float) -> AsyncGenerator[Mapping[str, Any], None]:
        """Send a request to all; yield the replies as they come, for ever."""

    @abstractmethod
    async def reply(self, delivery: Any, reply: Mapping[str, Any]) -> None:
        """Send a reply to whoever asked. Raises ``PublishFailed``."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.service}: {', '.join(self.responders) or 'nobody serves'}>"
