"""Reading the incident topic and creating the input topics: the demo's own Kafka clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from demo.changes import now_ms
from demo.findings import Finding, parse

INCIDENTS_TOPIC = "tocsin.incidents"


async def create_topics(kafka: str, topics: Iterable[tuple[str, int]]) -> None:
    """Create topics given as (name, partitions); those that exist stay as they are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(name=name, num_partitions=count, replication_factor=1) for name, count in topics]
        )
        for name, code, *detail in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {name} could not be created: {detail}")
    finally:
        await admin.close()


async def follow(kafka: str, tell: Callable[[Finding], None], topic: str = INCIDENTS_TOPIC) -> None:
    """Read incidents from the beginning and `tell` each version, until cancelled.

    The topic may come into being later: it belongs to the worker.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        auto_offset_reset="earliest",
        metadata_max_age_ms=2_000,
        fetch_max_wait_ms=200,
    )
    await consumer.start()
    try:
        while topic not in await consumer.topics():  # noqa: ASYNC110 - a broker has no event for this
            await asyncio.sleep(0.5)
        consumer.subscribe([topic])
        async for record in consumer:
            finding = parse(record.value or b"", now_ms())
            if finding is not None:
                tell(finding)
    finally:
        await consumer.stop()
