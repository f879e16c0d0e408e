"""Subscribers of topics: members of a consumer group, each with its partitions and its place in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aiokafka import (  # type: ignore[import-untyped]
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
)
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.kafka.channels.dead_letters import DeadLetters
from labkit.brokers.kafka.channels.delivery import TopicDelivery
from labkit.brokers.kafka.channels.progress import Progress
from labkit.brokers.kafka.channels.read_ahead import ReadAhead
from labkit.brokers.kafka.consumer import stop_consumer
from labkit.brokers.kafka.errors import NATIVE_ERRORS, asking, meaning
from labkit.brokers.kafka.offsets import When, milliseconds
from labkit.brokers.subscription import Subscription
from labkit.errors import SettleFailed, Unsupported

if TYPE_CHECKING:
    from labkit.brokers.kafka.channels.topic import Topic

__all__ = ["Commit", "Isolation", "Rebalance", "Start", "TopicSubscription"]

Start = Literal["earliest", "latest"]
Commit = Literal["auto", "manual"]
Isolation = Literal["read_uncommitted", "read_committed"]


REBALANCED = (CommitFailedError, IllegalStateError, RebalanceInProgressError)
"""What aiokafka raises for a partition that is ours no more, or not now."""

REBALANCE_PAUSE_SECONDS = 0.02


class Rebalance(NamedTuple):
    """The group shared its partitions out anew: what this subscriber had to give up, or got."""

    what: Literal["revoked", "assigned"]
    partitions: tuple[TopicPartition, ...]


class TopicSubscription(Subscription[TopicDelivery]):
    """One subscriber of a topic, or of several.

    It stores its place about once a second and when it closes: a message counts as done when the next one is
    asked for, never when the handler raised, or was at work when it was closed. After a crash it therefore
    reads a little again. With ``commit="manual"`` it stores a place only when a delivery is acknowledged;
    ``run`` does so when the handler has returned.
    """

    channel: Topic
    _native: AIOKafkaConsumer
    _ahead: ReadAhead

    def __init__(
        self,
        topic: Topic,
        name: str,
        group: str,
        commit: Commit,
        topics: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(topic, name)
        self.group = group
        self.topics = tuple(topics)
        self.is_manual = commit == "manual"
        self.rebalances: list[Rebalance] = []
        """What the group did with its partitions since this subscriber was opened, oldest first."""
        self._options = options
        self._progress = Progress()
        self._dead_letters: DeadLetters | None = None

    @property
    def native(self) -> AIOKafkaConsumer:
        """The consumer of aiokafka. Raises ``ChannelClosed`` before it was opened."""
        self._require_reading()
        return self._native

    @property
    def assignment(self) -> tuple[TopicPartition, ...]:
        """The partitions this subscriber reads now."""
        return tuple(sorted(self._native.assignment())) if self.is_open else ()

    async def _subscribe(self) -> None:
        self._native = AIOKafkaConsumer(
            **self.channel.client.address.options(),
            client_id=self.name,
            group_id=self.group,
            enable_auto_commit=False,
            request_timeout_ms=int(CALL_SECONDS * 1000),
            metadata_max_age_ms=10_000,
            **{"fetch_max_wait_ms": 100, **self._options},
        )
        self._ahead = ReadAhead(self._native)
        self._native.subscribe(self.topics, listener=_Listener(self))
        what = f"Kafka did not register {self.name} on {', '.join(self.topics)}"
        try:
            async with asking(what, "check that the topic exists, the broker runs, and the time-outs"):
                await self._native.start()
                await self._take_place()
        except BaseException:
            await stop_consumer(self._native)
            raise

    async def _take_place(self) -> None:
        """Find where to begin, and store it: from then on no rebalance moves this group past a message."""
        while True:
            try:
                places = {place: await self._native.position(place) for place in self._native.assignment()}
                if places:
                    await self._native.commit(places)
                return
            except REBALANCED:  # others joined at the same moment: look again at what is ours
                await asyncio.sleep(REBALANCE_PAUSE_SECONDS)

    def _at_hand(self) -> TopicDelivery | None:
        records = self._ahead.records
        if not records or time.monotonic() >= self._progress.store_at:
            return None
        self._progress.finish_last()
        return self._hand_out(records.popleft())

    async def _next(self) -> TopicDelivery | None:
        self._progress.finish_last()
        if time.monotonic() >= self._progress.store_at:
            await self._progress.store(self._native)
        try:
            record = await self._ahead.next()
        except ConsumerStoppedError:
            return None
        except KafkaError as error:
            what = f"Kafka stopped handing messages of {self.channel.name!r} to {self.name}"
            raise meaning(error, what, "open a new subscription") from error
        return self._hand_out(record)

    def _hand_out(self, record: ConsumerRecord) -> TopicDelivery:
        delivery = TopicDelivery(record, self, self._progress.era)
        if not self.is_manual:
            self._progress.hand_out(delivery)
        return delivery

    def _settle(self, delivery: TopicDelivery) -> Awaitable[None] | None:
        return delivery.commit() if self.is_manual else None

    # Storing the place by hand.

    async def commit(self, delivery: TopicDelivery) -> None:
        """Store that this delivery is done, and all before it in its partition. Raises ``SettleFailed``."""
        self.require_current(delivery)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._native.commit(delivery.position)
        except NATIVE_ERRORS as error:
            raise SettleFailed(
                f"Kafka did not store that {self.group} is done with offset {delivery.offset} of"
                f" {delivery.place.topic}/{delivery.partition}: {error!r}.",
                broker="kafka",
                remedy="nothing: the message comes again, here or elsewhere in the group",
            ) from error
        self.note_settled(delivery)

    def note_settled(self, delivery: TopicDelivery) -> None:
        """Take note that the broker has stored this delivery's position."""
        self._progress.forget(delivery.place)
        if self._settled is not None:
            self._settled(delivery.message)

    def require_current(self, delivery: TopicDelivery) -> None:
        """Raise ``SettleFailed`` if a rebalance came after this delivery: the partition may be another's."""
        if delivery.era != self._progress.era or not self._is_open:
            happened = "was closed" if not self._is_open else "was rebalanced"
            raise SettleFailed(
                f"Offset {delivery.offset} of {delivery.place.topic}/{delivery.partition} cannot be committed"
                f" any more: {self.name} {happened} meanwhile.",
                broker="kafka",
                remedy="nothing: the message comes again, here or elsewhere in the group",
            )

    # Going elsewhere in the log.

    async def seek(self, partition: int, offset: int, *, topic: str | None = None) -> None:
        """Go on with this offset of a partition. The group's stored place stays until the next commit.

        Raises ``BrokerError`` for a partition that this subscriber does not read.
        """
        self._seek(TopicPartition(topic or self.channel.name, partition), offset)

    async def seek_to_time(self, when: When) -> None:
        """Go, in each partition, to the first message from this moment on, or to its end.

        ``when`` is a ``datetime`` or seconds since 1970.
        """
        wanted = dict.fromkeys(self.assignment, milliseconds(when))
        async with asking(f"Kafka did not tell {self.name} what was when", "check that the broker runs"):
            found = await self._native.offsets_for_times(wanted)
            ends = await self._native.end_offsets(list(wanted))
        for place in wanted:
            self._seek(place, ends[place] if found.get(place) is None else found[place].offset)

    def _seek(self, place: TopicPartition, offset: int) -> None:
        self._require_reading()
        try:
            self._ahead.put_back({place})
            self._native.seek(place, offset)
        except (KafkaError, ValueError) as error:
            what = f"{self.name} cannot go to offset {offset} of {place.topic}/{place.partition}"
            raise meaning(
                error, what, "choose a partition of `subscription.assignment`, and an offset from 0 on"
            ) from error
        self._progress.forget(place)

    def pause(self, *partitions: int) -> None:
        """Take no more from these partitions (all if none is named); the subscriber stays in its group."""
        places = self._places(partitions)
        self.native.pause(*places)
        self._ahead.put_back(places)

    def resume(self, *partitions: int) -> None:
        """Take again from these partitions (all if none is named), where it stopped."""
        self.native.resume(*self._places(partitions))

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        wanted = set(partitions)
        return [place for place in self.assignment if not wanted or place.partition in wanted]

    def _require_reading(self) -> None:
        if not self._is_open:
            raise self._closed_error()

    async def lag(self) -> dict[TopicPartition, int]:
        """Return how far the group's stored place is behind the end, for each partition read here.

        With ``read_committed`` the end is the last stable offset: nobody can read behind an open transaction.
        Offsets are not messages: each transaction's end takes one, too.
        """
        self._require_reading()
        places = list(self.assignment)
        async with asking(f"Kafka did not tell the lag of {self.group}", "check that the broker runs"):
            ends = await self._native.end_offsets(places)
            return {place: ends[place] - (await self._native.committed(place) or 0) for place in places}

    # What cannot be worked on.

    def put_aside_into(self, topic: Topic, attempts: int) -> None:
        """Put a message into this topic when it was given back as often as that."""
        self._dead_letters = DeadLetters(self, topic, attempts)

    async def give_back(self, delivery: TopicDelivery) -> None:
        """Go back to this delivery, or put it aside if it was given back often enough."""
        if delivery.era != self._progress.era or not self._is_open:
            return  # it comes again anyway
        if self._dead_letters is not None and self._dead_letters.is_enough(delivery):
            await self.put_aside(delivery, "given back too often")
        else:
            self._seek(delivery.place, delivery.offset)

    async def put_aside(self, delivery: TopicDelivery, reason: str) -> None:
        """Move this delivery to the dead letters. Raises ``Unsupported`` if the subscriber has none."""
        if self._dead_letters is None:
            raise Unsupported(
                "Kafka has no dead letters of its own; this subscriber was given no topic for them.",
                broker="kafka",
                remedy="topic.subscribe(..., dead_letters=await topic.dead_letters())",
            )
        await self._dead_letters.take(delivery, reason)

    # Rebalances, and the end.

    async def _revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self._ahead.clear()
        await self._progress.store(self._native)
        self._progress.begin_era()
        self.rebalances.append(Rebalance("revoked", tuple(sorted(partitions))))

    def _was_assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self.rebalances.append(Rebalance("assigned", tuple(sorted(partitions))))

    async def vanish(self) -> None:
        """Go as a program that was killed goes: nothing is stored, and the group is not told.

        The group notices when ``session_timeout`` is over; then others get its partitions.
        """
        self._progress.forget_all()
        self._ahead.clear()
        self.channel.client.release(self)
        self._is_open = False
        await self._end_worker()
        # A member with a fixed identity says no farewell, because it is expected back.
        self._native._coordinator._group_instance_id = self.name
        await stop_consumer(self._native)

    async def _unsubscribe(self) -> None:
        if self.error is None and not self._was_cut_short:
            self._progress.finish_last()
        self._ahead.clear()
        await self._progress.store(self._native)
        await stop_consumer(self._native)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells a subscription what its group does."""

    def __init__(self, subscription: TopicSubscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._subscription._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._subscription._was_assigned(assigned)
