"""The real Apache Kafka of the session, for every test under tests/kafka."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.kafka.cluster import KafkaCluster, KafkaUnavailable, fetch_jars, java_binary


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """Kafka's jars and a Java: without them skip here, but fail in CI, where they must be there."""
    try:
        java_binary()
        fetch_jars()
    except KafkaUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the real-Kafka tests: {error}", pytrace=False)
        pytest.skip(f"no real Kafka here: {error}")


@pytest.fixture(scope="session")
def real_kafka(kafka_jars: None) -> Iterator[KafkaCluster]:
    """One running KRaft node for the whole session. Tests create topics with names of their own."""
    with KafkaCluster() as kafka:
        yield kafka
