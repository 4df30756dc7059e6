"""The harness itself: a real Apache Kafka that behaves as the other tests rely on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from embedded.probe import speaks_kafka
from tests.kafka import cluster
from tests.kafka.clients import create_topic, produce, read_all, wait_for_records
from tests.kafka.cluster import KafkaCluster, KafkaUnavailable, fetch_jars, kafka_version

pytestmark = pytest.mark.kafka


def _port(kafka: KafkaCluster) -> int:
    return int(kafka.bootstrap.rpartition(":")[2])


async def test_records_come_back_in_order(real_kafka: KafkaCluster) -> None:
    """What is produced to one partition is read back, keys and values, in the order it was sent."""
    records = [(str(number).encode(), b"v%d" % number) for number in range(500)]
    await create_topic(real_kafka.bootstrap, "harness-order")
    await produce(real_kafka.bootstrap, "harness-order", records)
    found = await read_all(real_kafka.bootstrap, "harness-order")
    assert [(record.key, record.value) for record in found] == records


async def test_compaction_keeps_the_last_value_of_a_key(real_kafka: KafkaCluster) -> None:
    """On a compacted topic the cleaner really removes superseded values within the test's patience."""
    topic = "harness-compacted"
    await create_topic(
        real_kafka.bootstrap,
        topic,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
    )
    await produce(real_kafka.bootstrap, topic, [(b"incident-1", b"v%d" % version) for version in range(200)])

    async def cleaned() -> list[bytes | None]:
        # The active segment is never cleaned: each new record closes the one before it.
        await produce(real_kafka.bootstrap, topic, [(b"tick", b"")])
        return [r.value for r in await read_all(real_kafka.bootstrap, topic) if r.key == b"incident-1"]

    values = await cleaned()
    deadline = asyncio.get_running_loop().time() + 60
    while len(values) > 1 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.2)
        values = await cleaned()
    assert values == [b"v199"]


async def test_topics_are_not_created_by_use(real_kafka: KafkaCluster) -> None:
    """Producing to a topic nobody created fails instead of creating it."""
    producer = AIOKafkaProducer(bootstrap_servers=real_kafka.bootstrap, request_timeout_ms=1500)
    await producer.start()
    try:
        with pytest.raises((KafkaTimeoutError, UnknownTopicOrPartitionError)):
            await producer.send_and_wait("harness-nobody-made-this", b"x")
    finally:
        await producer.stop()


async def test_a_topic_made_twice_is_an_error(real_kafka: KafkaCluster) -> None:
    """The helper does not hide that a name is taken, so tests cannot share a topic by accident."""
    await create_topic(real_kafka.bootstrap, "harness-twice")
    with pytest.raises(TopicAlreadyExistsError):
        await create_topic(real_kafka.bootstrap, "harness-twice")


async def test_acknowledged_records_survive_kill_9(kafka_jars: None, tmp_path: Path) -> None:
    """Records acknowledged before ``kill -9`` are there after a start on the same data and address."""
    with KafkaCluster(tmp_path) as kafka:
        before = kafka.bootstrap
        await create_topic(kafka.bootstrap, "survivor")
        await produce(kafka.bootstrap, "survivor", [(b"k", b"%d" % number) for number in range(100)])
        kafka.kill()
        assert not speaks_kafka(_port(kafka))
        kafka.start()
        assert kafka.bootstrap == before
        found = await wait_for_records(kafka.bootstrap, "survivor", lambda records: len(records) == 100)
        assert [record.value for record in found] == [b"%d" % number for number in range(100)]
        # An orderly stop ends well within its deadline and leaves nothing listening.
        kafka.stop()
        assert not speaks_kafka(_port(kafka))


def test_a_filled_cache_needs_no_maven(kafka_jars: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run finds the jars without calling mvn."""
    monkeypatch.setattr(cluster.shutil, "which", lambda program: None)
    jars = fetch_jars()
    assert (jars / f"kafka_2.13-{kafka_version()}.jar").is_file()


def test_missing_maven_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache and no mvn is one clear message that names the packages to install."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster.shutil, "which", lambda program: None)
    with pytest.raises(KafkaUnavailable, match=r"mvn is not installed.*apt-get install -y maven"):
        fetch_jars()


def test_an_interrupted_fetch_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When mvn fails, nothing remains that a later run would take for a filled cache."""
    broken = tmp_path / "mvn"
    broken.write_text("#!/bin/sh\necho no network today; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cluster.shutil, "which", lambda program: str(broken))
    with pytest.raises(KafkaUnavailable, match="no network today"):
        fetch_jars()
    assert not cluster.cache_dir().exists()
