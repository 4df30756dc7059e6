"""Kafka for short commands: send one record, perhaps wait for one answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from cli.errors import CliError
from config.connect import Broker, address, kafka_options
from config.settings import Settings
from sinks.broker import why_not

T = TypeVar("T")


def topic_of(settings: Settings, format: str) -> str:
    """The input topic with this format. Raises `CliError` when none is configured."""
    for topic in settings.topics.inputs:
        if topic.format == format:
            return topic.name
    raise CliError(f"no input topic has format {format!r}", "add one under topics.inputs")


async def send(broker: Broker, topic: str, key: bytes, value: bytes) -> tuple[int, int]:
    """Produce one record and wait for the broker; returns partition and offset. Raises `CliError`."""
    async with explained(broker):
        await partitions_of(broker, topic)
        return await _produce(broker, topic, key, value)


async def ask(
    broker: Broker,
    topic: str,
    key: bytes,
    value: bytes,
    answers: str,
    match: Callable[[bytes], T | None],
    timeout_s: float,
) -> T | None:
    """Produce one record and wait for the record on `answers` that `match` accepts; None after the timeout.

    Raises `CliError` when the broker or a topic is not there.
    """
    async with explained(broker), reader(broker) as consumer:
        await partitions_of(broker, topic)
        homes = [TopicPartition(answers, number) for number in await partitions_of(broker, answers)]
        consumer.assign(homes)
        # Before sending, or a quick answer would be missed.
        for home, end in (await consumer.end_offsets(homes)).items():
            consumer.seek(home, end)
        await _produce(broker, topic, key, value)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            found = match(record.value) if record.value is not None else None
                            if found is not None:
                                return found
        except TimeoutError:
            return None


async def _produce(broker: Broker, topic: str, key: bytes, value: bytes) -> tuple[int, int]:
    producer = AIOKafkaProducer(**kafka_options(broker), acks="all", request_timeout_ms=10_000)
    await producer.start()
    try:
        done = await producer.send_and_wait(topic, value, key=key)
    finally:
        await producer.stop()
    return done.partition, done.offset


async def partitions_of(broker: Broker, topic: str) -> list[int]:
    """Partitions of a topic that exists. Raises `CliError` when it does not."""
    admin = AIOKafkaAdminClient(**kafka_options(broker))
    try:
        await admin.start()
        # All topics first: asking for one by name may create it, with the wrong partitions.
        if topic not in await admin.list_topics():
            raise CliError(
                f"topic {topic!r} does not exist", "start a worker (tocsin worker), it creates the topics"
            )
        described = (await admin.describe_topics([topic]))[0]
        return sorted(partition["partition"] for partition in described["partitions"])
    finally:
        await admin.close()


@asynccontextmanager
async def reader(broker: Broker) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, for looking at topics."""
    consumer = AIOKafkaConsumer(**kafka_options(broker), enable_auto_commit=False, fetch_max_wait_ms=50)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def explained(broker: Broker) -> AsyncIterator[None]:
    """What goes wrong with Kafka inside becomes a `CliError`."""
    # aiokafka logs what it then raises; the person gets one line, from us.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except KafkaConnectionError:
        reason = await why_not(broker)
        if reason:
            raise CliError(reason) from None
        raise CliError(
            f"no Kafka at {address(broker)}", "start one (tocsin dev kafka) or name it with --kafka"
        ) from None
    except (KafkaError, OSError, ValueError) as error:
        raise CliError(f"Kafka at {address(broker)}: {type(error).__name__}: {error}", "try again") from None
