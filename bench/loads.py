"""What the benchmarks feed: the same series as OTLP batches and as JSON lines, and how it gets into a topic.

Series s of S belongs to service s // 25 and, by its number, to one partition, as with a producer that keys
by series. Every series is sampled once a step of two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import aiokafka
from opentelemetry.proto.metrics.v1 import metrics_pb2

from streams.agents.topics import TopicSpec, connect, ensure_topics

PARTITIONS = 4
SERIES_A_SERVICE = 25
POINTS_A_RECORD = 500
STEP_MS = 2_000


class Message(NamedTuple):
    """One record to produce."""

    partition: int
    key: bytes | None
    value: bytes


def begin_ms(samples: int, series: int) -> int:
    """Event time of the first step, so that the last one ends just before now."""
    return int(time.time() * 1000) - (samples // series + 2) * STEP_MS


def otlp_records(points: int, series: int) -> Iterator[Message]:
    """Batches of 500 gauge points of 20 services, as the Collector's Kafka exporter writes them."""
    begin, blocks = begin_ms(points, series), max(1, series // POINTS_A_RECORD)
    for number in range(points // POINTS_A_RECORD):
        step, block = divmod(number, blocks)
        at_ns = (begin + step * STEP_MS) * 1_000_000
        data = metrics_pb2.MetricsData()
        first = block * POINTS_A_RECORD
        for service in range(first // SERIES_A_SERVICE, (first + POINTS_A_RECORD) // SERIES_A_SERVICE):
            resource = data.resource_metrics.add()
            attribute = resource.resource.attributes.add()
            attribute.key, attribute.value.string_value = "service.name", f"service-{service:04d}"
            metric = resource.scope_metrics.add().metrics.add()
            metric.name, metric.unit = "queue.length", "1"
            for queue in range(SERIES_A_SERVICE):
                point = metric.gauge.data_points.add()
                point.time_unix_nano = at_ns
                point.as_double = 100 + (number * 7 + queue) % 13
                label = point.attributes.add()
                label.key, label.value.string_value = "queue", f"queue-{queue:02d}"
        yield Message(block % PARTITIONS, None, data.SerializeToString())


def json_lines(lines: int, series: int, partitions: int = PARTITIONS) -> Iterator[Message]:
    """Single samples in Tocsin JSON, keyed by series."""
    begin = begin_ms(lines, series)
    for number in range(lines):
        step, which = divmod(number, series)
        service, queue = divmod(which, SERIES_A_SERVICE)
        value = (
            b'{"ts":%d,"service":"service-%04d","metric":"queue.length","value":%d.5,"labels":{"queue":"queue-%02d"}}'
            % (begin + step * STEP_MS, service, 100 + (number * 7) % 13, queue)
        )
        yield Message(which % partitions, b"%04d/%02d" % (service, queue), value)


async def fill(kafka: str, topic: str, messages: Iterator[Message], partitions: int = PARTITIONS) -> int:
    """Create the topic and write the messages; returns the bytes of their values."""
    admin = await connect(kafka)
    await ensure_topics(admin, [TopicSpec(topic, partitions, internal=False)])
    await admin.close()
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka, linger_ms=20, max_batch_size=512 * 1024, max_request_size=4_000_000
    )
    await producer.start()
    size = 0
    for message in messages:
        size += len(message.value)
        await producer.send(topic, message.value, key=message.key, partition=message.partition % partitions)
    await producer.stop()
    return size


async def ends(kafka: str, topic: str, partitions: int = PARTITIONS) -> int:
    """Records written to the topic so far, over all its partitions."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        found = await consumer.end_offsets([aiokafka.TopicPartition(topic, p) for p in range(partitions)])
        return sum(found.values())
    finally:
        await consumer.stop()
