"""Batches with header names that are not UTF-8."""

from __future__ import annotations

from typing import Any

import aiokafka
import aiokafka.consumer.fetcher as fetcher
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from streams.agents.tolerant import KeptRecords, TolerantPartitionRecords, install

PartitionRecords = fetcher.PartitionRecords
if PartitionRecords is TolerantPartitionRecords:  # another test has run a worker in this process
    (PartitionRecords,) = TolerantPartitionRecords.__bases__


class BadName(str):
    """What a careless producer in another language sends."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def batch(first: int, names: list[str], compression: int = 0) -> bytes:
    """One record per header name; its value says its offset."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=10_000,
    )
    for i, name in enumerate(names):
        builder.append(i, timestamp=1, key=None, value=b"%d" % (first + i), headers=[(name, b"v")])
    raw = bytearray(builder.build())
    raw[0:8] = first.to_bytes(8, "big")
    return bytes(raw)


def unpack(raw: bytes, records: type, partition: type) -> list[tuple[int, bytes, str]]:
    """As the fetcher does it."""
    place = aiokafka.TopicPartition("in", 0)
    unpacked = partition(place, records(raw), None, 0, None, None, True, fetcher.READ_UNCOMMITTED)
    return [(r.offset, r.value, r.headers[0][0]) for r in unpacked]


@pytest.mark.parametrize("compression", [0, 3], ids=["plain", "lz4"])
def test_a_header_name_that_is_not_utf8_costs_no_record(compression: int) -> None:
    """Every record once, in order, also those beside and behind the bad one."""
    raw = (
        batch(0, ["a", "b"], compression) + batch(2, ["c", BadName("x"), "e"], compression) + batch(5, ["f"])
    )
    assert unpack(raw, KeptRecords, TolerantPartitionRecords) == [
        (0, b"0", "a"),
        (1, b"1", "b"),
        (2, b"2", "c"),
        (3, b"3", "\ufffd\ufffd"),
        (4, b"4", "e"),
        (5, b"5", "f"),
    ]


def test_aiokafka_itself_stops_at_such_a_record() -> None:
    """When this fails, aiokafka has learned it and streams/agents/tolerant.py can go."""
    with pytest.raises(UnicodeDecodeError):
        unpack(batch(0, [BadName("x")]), MemoryRecords, PartitionRecords)


def test_a_damaged_batch_is_still_refused() -> None:
    """Lenient about names, not about checksums."""
    raw = bytearray(batch(0, [BadName("x")]) + batch(1, ["b"]))
    raw[-1] ^= 0xFF
    with pytest.raises(CorruptRecordException):
        unpack(bytes(raw), KeptRecords, TolerantPartitionRecords)


def test_a_worker_reads_tolerantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replaced names are those the fetcher uses."""
    for name in ("MemoryRecords", "PartitionRecords"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    install()
    assert fetcher.PartitionRecords is TolerantPartitionRecords
    assert fetcher.MemoryRecords is KeptRecords
