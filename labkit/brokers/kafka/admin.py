"""Looking after a Kafka broker: topics, partitions, consumer groups, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NoError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    for_code,
)

from labkit.brokers.client import CALL_SECONDS
from labkit.brokers.kafka.errors import asking, raise_first
from labkit.errors import NotFound

if TYPE_CHECKING:
    from labkit.brokers.kafka.address import Address

__all__ = ["Admin", "Group", "Member"]

RUNS = "check that the broker runs"
RETRY_SECONDS = 0.05
NOT_READY = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group; ``name`` is what it calls itself (its client id)."""

    name: str
    id: str
    host: str


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: its members, and its ``state`` in Kafka's words (Stable, Empty ...)."""

    name: str
    state: str
    members: tuple[Member, ...]


class Admin:
    """What an operator asks a broker for. Each call takes at most 6 seconds, then raises ``NoAnswer``.

    Kafka's admin client has more: ``async with admin.native() as native``. Its answers carry error codes,
    which it does not raise.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    @asynccontextmanager
    async def native(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Give the admin client of aiokafka, connected for as long as the block lasts."""
        admin = AIOKafkaAdminClient(**self._address.options(), request_timeout_ms=int(CALL_SECONDS * 1000))
        try:
            await admin.start()
            while admin._client.cluster.controller is None:  # a moment after a restart
                await admin._client.force_metadata_update()
                await asyncio.sleep(RETRY_SECONDS)
            yield admin
        finally:
            await admin.close()

    async def topics(self) -> list[str]:
        """Return the names of the topics this user may see, without Kafka's own, sorted."""
        async with asking("Kafka did not tell its topics", RUNS), self.native() as native:
            return sorted(name for name in await native.list_topics() if not name.startswith("__"))

    async def create_topic(
        self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> bool:
        """Create a topic; return False if it was there already. Raises ``NotAllowed`` or ``BrokerError``."""
        topic = NewTopic(name, partitions, 1, topic_configs=dict(configs or {}))
        remedy = "check that the broker runs, the topic's name, and its configs"
        async with asking(f"Kafka did not create the topic {name!r}", remedy), self.native() as native:
            try:
                raise_first((await native.create_topics([topic])).topic_errors)
            except TopicAlreadyExistsError:
                return False
        return True

    async def delete_topic(self, name: str) -> None:
        """Remove a topic with everything in it. Raises ``NotFound``."""
        what = f"Kafka did not delete the topic {name!r}"
        async with asking(what, "check that it exists"), self.native() as native:
            raise_first((await native.delete_topics([name])).topic_error_codes)

    async def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions, ``total`` in the end. Most keys belong to another partition then.

        Raises ``Conflict`` if it has as many already: Kafka takes no partition away.
        """
        what = f"Kafka did not give {name!r} {total} partitions"
        async with asking(what, "ask for more than it has"), self.native() as native:
            raise_first((await native.create_partitions({name: NewPartitions(total)})).topic_errors)

    async def delete_records(self, topic: str, before: Mapping[int, int]) -> dict[int, int]:
        """Delete, in each partition, what is before an offset; return where each begins now."""
        wanted = {TopicPartition(topic, one): RecordsToDelete(offset) for one, offset in before.items()}
        what = f"Kafka did not delete records of {topic!r}"
        async with asking(what, "check partitions, and that the offsets exist"), self.native() as native:
            begins = await native.delete_records(wanted)
        return {place.partition: begin for place, begin in begins.items()}

    async def configs(self, topic: str) -> dict[str, str]:
        """Return a topic's settings (``retention.ms`` and so on), as Kafka writes them."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        async with asking(f"Kafka did not tell the settings of {topic!r}", RUNS), self.native() as native:
            code, message, _type, _name, entries = (await native.describe_configs([resource]))[0].resources[0]
            raise_first([(topic, code, message)])
        return {entry[0]: entry[1] for entry in entries}

    async def groups(self) -> list[str]:
        """Return the names of the consumer groups Kafka knows, sorted."""
        async with asking("Kafka did not tell its groups", RUNS), self.native() as native:
            return sorted(name for name, *_ in await _once_ready(native.list_consumer_groups))

    async def group(self, name: str) -> Group:
        """Return who is in a group. Raises ``NotFound`` if Kafka knows none of this name."""
        async with asking(f"Kafka did not describe the group {name!r}", RUNS), self.native() as native:
            answers = await _once_ready(partial(native.describe_consumer_groups, [name]))
        answer = answers[0].groups[0]
        code, _, state, _, _, members, *_ = answer
        if state == "Dead" or for_code(code) is not NoError:
            raise NotFound(
                f"Kafka knows no group {name!r}.", broker="kafka", remedy="`await client.admin.groups()`"
            )
        return Group(name, state, tuple(_member(member) for member in members))

    async def group_offsets(self, name: str) -> dict[TopicPartition, int]:
        """Return the position a group has committed in each partition: the next message it wants."""
        what = f"Kafka did not tell the offsets of the group {name!r}"
        async with asking(what, RUNS), self.native() as native:
            found = await _once_ready(partial(native.list_consumer_group_offsets, name))
        return {place: stored.offset for place, stored in found.items()}


async def _once_ready(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the groups' coordinator is there: the first to ask a new broker has it made."""
    while True:
        try:
            return await ask()
        except NOT_READY:
            await asyncio.sleep(RETRY_SECONDS)


def _member(told: Any) -> Member:
    identity, name, host, *_ = told
    return Member(name, identity, host)
