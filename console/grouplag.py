"""The lag of every stage as Kafka itself knows it, for when no worker can be asked.

A stage's consumer group commits what is safe on the next hop, so end minus committed is what the workers
would report, some seconds old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from config.connect import address, kafka_options
from config.settings import Settings
from streams.agents.stages import STAGES, expanded, stage_inputs

TIMEOUT_S = 5.0
MOST = 5_000
"""partitions of all stages that are asked about"""


class GroupLag(NamedTuple):
    stage: str
    topic: str
    partition: int
    lag: int
    committed: int | None
    """None: the group has committed nothing there, and would begin with the oldest record"""


class GroupLags(NamedTuple):
    """`trouble`: why there are none; empty: these are all."""

    at_ms: int
    rows: list[GroupLag]
    trouble: str


async def group_lags(settings: Settings, at_ms: int, timeout_s: float = TIMEOUT_S) -> GroupLags:
    """Of the stages these settings run, largest first."""
    try:
        async with asyncio.timeout(timeout_s):
            return GroupLags(at_ms, await _ask(settings), "")
    except TimeoutError:
        trouble = f"Kafka at {address(settings.kafka)} did not answer within {timeout_s:g} s"
    except (KafkaError, OSError, ValueError) as error:
        trouble = f"no Kafka at {address(settings.kafka)}: {type(error).__name__}"
    return GroupLags(at_ms, [], trouble)


async def _ask(settings: Settings) -> list[GroupLag]:
    options = kafka_options(settings.kafka)
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        await consumer.start()
        await admin.start()
        known = await consumer.topics()
        wanted = _wanted(settings, consumer, known)
        homes = sorted({home for each in wanted.values() for home in each})
        if not homes:
            return []
        ends, begins = await consumer.end_offsets(homes), await consumer.beginning_offsets(homes)
        found: list[GroupLag] = []
        for stage, each in wanted.items():
            group = f"{settings.kafka.group_prefix}-{stage}"
            committed = await admin.list_consumer_group_offsets(group, partitions=each)
            found += [lag_of(stage, home, committed, begins[home], ends[home]) for home in each]
    finally:
        await asyncio.gather(consumer.stop(), admin.close(), return_exceptions=True)
    return sorted(found, key=lambda one: (-one.lag, one.stage, one.topic, one.partition))


def _wanted(settings: Settings, consumer: Any, known: set[str]) -> dict[str, list[TopicPartition]]:
    """Partitions a stage reads, of topics there are; `MOST` in all."""
    left = MOST
    wanted = {}
    for stage in expanded(STAGES, settings):
        homes = [
            TopicPartition(topic, number)
            for topic in stage_inputs(stage, settings)
            if topic in known
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ][:left]
        left -= len(homes)
        if homes:
            wanted[stage] = homes
    return wanted


def lag_of(
    stage: str, home: TopicPartition, committed: Mapping[TopicPartition, Any], begin: int, end: int
) -> GroupLag:
    """What retention has taken is not counted: nobody can read it any more."""
    known = committed.get(home)
    at = known.offset if known is not None and known.offset >= 0 else None
    return GroupLag(
        stage, home.topic, home.partition, max(0, end - max(begin, at if at is not None else begin)), at
    )
