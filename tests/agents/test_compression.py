"""Batches compressed by the producer: every codec Kafka has reaches the cores."""

from __future__ import annotations

import aiokafka
import pytest

from streams.agents.process import WorkerConfig
from streams.agents.stages import StagePlan
from streams.agents.topics import TopicSpec
from tests.agents import kit
from tests.agents.cores import CountingCore
from tests.agents.test_worker import working


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_of_kafka_is_read(bootstrap: str, codec: str) -> None:
    """Through the worker's own consumer."""
    one, two = kit.unique(codec), kit.unique("out")
    specs = [TopicSpec(one, 1), TopicSpec(two, 1)]
    plan = StagePlan("count", (one,), lambda topic, partition: CountingCore(two, partition))
    await kit.create(bootstrap, *specs)
    client = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=50)
    await client.start()
    try:
        for i in range(500):
            await client.send(one, str(i).encode())
        await client.flush()
    finally:
        await client.stop()
    async with working(WorkerConfig(bootstrap, kit.unique("g")), [plan], specs):
        said = await kit.read_until(bootstrap, two, lambda s: len(kit.ids_of(s)) >= 500, 30)
    assert sorted(kit.ids_of(said)) == list(range(500))
