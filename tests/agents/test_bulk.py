"""A fetch taken apart at once gives the records aiokafka would have made, one by one."""

from __future__ import annotations

from typing import Any

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from streams.agents.bulk import BulkFetchResult, in_bulk, unpacked
from streams.agents.tolerant import KeptRecords, TolerantPartitionRecords
from tests.agents.test_tolerant import BadName, batch

HERE = aiokafka.TopicPartition("in", 0)


class Assignment:
    """As far as a fetch result looks at it: one partition at an offset."""

    active = True
    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, tp: Any) -> Assignment:
        return self

    def consumed_to(self, offset: int) -> None:
        self.position = offset


def source(raw: bytes, offset: int = 0, deserializer: Any = in_bulk) -> Any:
    return TolerantPartitionRecords(
        HERE, KeptRecords(raw), None, offset, None, deserializer, True, fetcher.READ_UNCOMMITTED
    )


def result(raw: bytes, offset: int = 0, deserializer: Any = in_bulk) -> tuple[BulkFetchResult, Assignment]:
    assignment = Assignment(offset)
    found = BulkFetchResult(
        HERE, assignment=assignment, partition_records=source(raw, offset, deserializer), backoff=0
    )
    return found, assignment


@pytest.mark.parametrize("compression", [0, 3], ids=["plain", "lz4"])
@pytest.mark.parametrize("offset", [0, 1, 4, 9])
def test_columns_hold_what_single_records_say(compression: int, offset: int) -> None:
    """Also from the middle of a batch on, and across a gap between batches."""
    raw = batch(0, ["a", "b", "c"], compression) + batch(8, ["d", "e"], compression)
    single, bulk = source(raw, offset), source(raw, offset)
    wanted = [(r.offset, r.timestamp, r.value, r.headers) for r in single]
    assert [(r.offset, r.timestamp_ms, r.value, r.headers) for r in unpacked(bulk)] == wanted
    assert bulk.next_fetch_offset == single.next_fetch_offset == 10


def test_a_header_name_that_is_not_utf8_costs_no_record() -> None:
    """Every record once, in order."""
    raw = batch(0, ["a"]) + batch(1, ["b", BadName("x"), "c"]) + batch(4, ["d"])
    found = unpacked(source(raw, 1))
    assert list(found.offsets) == [1, 2, 3, 4]
    assert found.headers == [(("b", b"v"),), (("\ufffd\ufffd", b"v"),), (("c", b"v"),), (("d", b"v"),)]


def test_a_damaged_batch_is_fetched_again_and_never_skipped() -> None:
    """The error is raised, the position stays, and nothing of the fetch is handed out later."""
    raw = bytearray(batch(0, ["a"]) + batch(1, ["b"]) + batch(2, ["c"]))
    raw[len(batch(0, ["a"])) + 70] ^= 0xFF
    found, assignment = result(bytes(raw))
    with pytest.raises(CorruptRecordException):
        found.getall()
    assert assignment.position == 0
    assert not found.has_more()


def test_the_position_moves_past_what_was_handed_out() -> None:
    """All of a fetch at once."""
    found, assignment = result(batch(0, ["a", "b"]) + batch(2, ["c"]))
    assert len(found.getall()) == 3
    assert assignment.position == 3
    assert not found.has_more()


def test_a_fetch_from_before_a_seek_is_dropped() -> None:
    """The partition has been put elsewhere since."""
    found, assignment = result(batch(0, ["a"]))
    assignment.position = 7
    assert list(found.getall()) == []
    assert assignment.position == 7


def test_other_consumers_get_what_they_always_got() -> None:
    """aiokafka's own records, unless a consumer is marked."""
    found, _ = result(batch(0, ["a"]), deserializer=None)
    (only,) = found.getall()
    assert type(only).__name__ == "ConsumerRecord"
