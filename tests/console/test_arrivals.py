"""Records over a period, by Kafka's offsets, at a real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from console.arrivals import Arrived, arrived
from embedded.stack import Stack

HOUR = 3_600_000


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with Stack(clickhouse=False) as stack:
        yield stack.kafka


async def test_records_count_by_when_they_came(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("metrics", 2, 1), NewTopic("logs", 1, 1), NewTopic("none", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for n in range(6):
        await producer.send_and_wait("metrics", b"x", partition=n % 2)
    await asyncio.sleep(0.05)
    between = time.time_ns() // 1_000_000
    for topic in ("metrics", "logs", "logs"):
        await producer.send_and_wait(topic, b"x", partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    topics = ("metrics", "logs", "none", "missing")
    before = await arrived(consumer, topics, between - HOUR, between)
    after = await arrived(consumer, topics, between, between + HOUR)
    every = await arrived(consumer, topics, 0, between + HOUR)
    later = await arrived(consumer, topics, between + HOUR, between + 2 * HOUR)
    await consumer.stop()
    assert before == Arrived(6, {"metrics": 6}, False)
    assert after == Arrived(3, {"metrics": 1, "logs": 2}, False)
    assert every == Arrived(9, {"metrics": 7, "logs": 2}, False)
    assert later == Arrived(0, {}, False)
