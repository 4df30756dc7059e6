"""What both readers of topics need: where the topics are, and whether the broker is still there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NodeNotReadyError

from config.connect import address
from config.settings import Kafka

AGAIN_S = 1.0
BEAT_S = 1.0
PATIENCE_S = 5.0
"""a broker that is away for less is not worth a word"""
REQUEST_MS = 10_000
"""after which a connection that says nothing is lost"""

log = logging.getLogger(__name__)


async def partitions_of(consumer: Any, names: Sequence[str]) -> tuple[list[TopicPartition], str]:
    """Partitions of the topics as they are now, and the first topic that has none yet, or nothing.

    Raises `KafkaError`. What a consumer knows of topics is as old as its start, or five minutes.
    """
    await consumer._client.force_metadata_update()
    present = await consumer.topics()
    homes: list[TopicPartition] = []
    for name in names:
        numbers = sorted(consumer.partitions_for_topic(name) or ()) if name in present else []
        if not numbers:
            return [], name
        homes += [TopicPartition(name, number) for number in numbers]
    return homes, ""


async def again_and_again(
    once: Callable[[], Awaitable[None]], kafka: Kafka, lose: Callable[[str], None]
) -> None:
    """Follow topics with `once` for ever; `lose` is told why it ended, which is never meant."""
    while True:
        try:
            await once()
        except (KafkaError, OSError, ValueError) as error:
            lose(f"no Kafka at {address(kafka)}: {type(error).__name__}")
            log.warning("console: no Kafka at %s (%r), trying again", address(kafka), error)
        except Exception as error:
            # A bug. Pages say so, rather than show for ever what was true then.
            lose(f"the console has a fault, its log has more: {type(error).__name__}")
            log.exception("console: a topic is not followed, trying again")
        await asyncio.sleep(AGAIN_S)


async def leave(consumer: Any) -> None:
    """Stop it, also while its broker is away.

    Then aiokafka (0.14) waits for a fetch that it has cancelled itself, which looks as if we were.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping})
    if stopping.cancelled():
        for fetch in consumer._fetcher._pending_tasks:
            fetch.cancel()
        await consumer._client.close()
    elif stopping.exception() is not None:
        log.debug("console: while leaving Kafka: %r", stopping.exception())


class Pulse:
    """Looks at the connections while nothing comes in: reading alone never says that nobody is there."""

    def __init__(self, consumer: Any, homes: Sequence[TopicPartition]) -> None:
        self._client = consumer._client
        self._homes = homes
        self._looked = self._well = time.monotonic()

    async def beat(self, came: Mapping[Any, Any]) -> None:
        """After every poll, with what it gave. Raises `NodeNotReadyError` when a broker is away for long.

        No request is sent for it.
        """
        now = time.monotonic()
        if came:
            self._well = now
        elif now - self._looked > BEAT_S:
            self._looked = now
            if await self._connected():
                self._well = now
            elif now - self._well > PATIENCE_S:
                raise NodeNotReadyError

    async def _connected(self) -> bool:
        """To all brokers that lead a partition; it connects again where that was lost."""
        leaders = {self._client.cluster.leader_for_partition(home) for home in self._homes}
        return all([leader not in (None, -1) and await self._client.ready(leader) for leader in leaders])
