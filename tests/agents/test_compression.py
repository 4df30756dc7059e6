"""Batches compressed by the producer: every codec Kafka has reaches the cores."""

from __future__ import annotations

import aiokafka
import aiokafka.record._crecords.default_records as compiled
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.agents import compression
from streams.agents.compression import fast_lz4
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


def test_what_is_produced_is_compressed_at_the_fast_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's compiled batches look the function up where it is replaced."""
    used: list[int] = []

    def noted(payload: bytes) -> bytes:
        used.append(len(payload))
        return fast_lz4(payload)

    compression.install()
    assert compiled.lz4_encode is fast_lz4
    monkeypatch.setattr(compiled, "lz4_encode", noted)
    value = b"one page of samples " * 500
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=3,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    builder.append(0, 1, None, value, [])
    batch = builder.build()
    assert len(used) == 1
    assert len(batch) < 500
    assert [record.value for record in MemoryRecords(bytes(batch)).next_batch()] == [value]
