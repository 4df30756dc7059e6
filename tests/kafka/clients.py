"""A few lines each of what the real-Kafka tests do again and again, over aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code


async def create_topic(bootstrap: str, name: str, partitions: int = 1, **configs: str) -> None:
    """Create a topic; dots in config names are written as underscores. Raises aiokafka's KafkaError."""
    settings = {key.replace("_", "."): value for key, value in configs.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        for topic, code, *message in answer.topic_errors:  # aiokafka reports these and does not raise
            if code:
                raise for_code(code)(f"{topic}: {message}")
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
    """Send (key, value) pairs in order with acks=all and return when all are acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        sent = [await producer.send(topic, key=key, value=value) for key, value in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Every record of the topic from its beginning to its end as of now, in partition order."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    await consumer.start()  # without a group: all partitions are ours at once
    try:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=500)
                found += batch.get(partition, [])
        return found
    finally:
        await consumer.stop()


async def wait_for_records(
    bootstrap: str,
    topic: str,
    enough: Callable[[list[Any]], bool],
    *,
    timeout_s: float = 30.0,
    still_running: Callable[[], str | None] = lambda: None,
) -> list[Any]:
    """Read the topic until ``enough(records)``.

    Raises AssertionError when the time runs out, or at once when ``still_running`` names a reason why
    nothing more can come.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        records = await read_all(bootstrap, topic)
        if enough(records):
            return records
        reason = still_running()
        if reason is not None:
            raise AssertionError(f"nothing more will come to {topic}: {reason}")
        if asyncio.get_running_loop().time() > deadline:
            shown = [record.value for record in records[:3]]
            raise AssertionError(
                f"not enough records in {topic} after {timeout_s:g} s: {len(records)}, first {shown}"
            )
        await asyncio.sleep(0.1)
