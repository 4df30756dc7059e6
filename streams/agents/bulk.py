# mypy: allow-subclassing-any
"""Takes a whole fetch of a partition apart at once, into columns.

aiokafka makes an object of every record, one call at a time, which costs more than reading them off the
wire. A consumer whose values go through `in_bulk` gets `Records` instead; all other consumers in the
process are served as ever. Installed by `streams.agents.tolerant`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

from streams.records.batch import Records

NO_TIMESTAMP_MS = 0
"""Stands for a record without a usable timestamp (Kafka's -1, or none at all)."""


def in_bulk(value: Any) -> Any:
    """As `value_deserializer` of a consumer: a mark, and no change to the value."""
    return value


class BulkFetchResult(FetchResult):
    """In place of aiokafka's `FetchResult`: hands out columns if the consumer is marked so."""

    def getall(self, max_records: int | None = None) -> Sequence[Any]:
        source: Any = self._partition_records
        if max_records is not None or source is None or source._value_deserializer is not in_bulk:
            records: Sequence[Any] = super().getall(max_records)
            return records
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return ()
        # Forgotten first: after an error the rest is fetched again from where we are, not skipped.
        self._partition_records: Any = None
        found = unpacked(source)
        self._assignment.state_value(self._topic_partition).consumed_to(source.next_fetch_offset)
        return found


def unpacked(source: Any) -> Records:
    """All that is left in a `PartitionRecords`, which then says where the next fetch begins.

    Raises aiokafka's `CorruptRecordException` for a damaged batch.
    """
    if source._isolation_level != READ_UNCOMMITTED:
        return columns_of(source._tp, list(source))  # transactions are aiokafka's business
    batches, records, at = [], source._records, source.next_fetch_offset
    try:
        while records.has_next():
            batch = records.next_batch()
            if source._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {source._tp}")
            if not batch.is_control_batch:
                found = list(batch)
                if found and found[0].offset < at:
                    found = [record for record in found if record.offset >= at]
                batches += found
            at = batch.next_offset
    except UnicodeDecodeError as error:
        return columns_of(source._tp, list(source.leniently(error)))
    source.next_fetch_offset = at
    return columns_of(source._tp, batches)


def columns_of(tp: Any, found: Sequence[Any]) -> Records:
    """A Kafka client's records of a topic and partition as ours."""
    timestamps = [record.timestamp for record in found]
    if None in timestamps or min(timestamps, default=0) < 0:
        timestamps = [NO_TIMESTAMP_MS if at is None or at < 0 else at for at in timestamps]
    headers: list[Any] | None = [record.headers for record in found]
    if headers is not None and any(headers):
        headers = [tuple((name, value or b"") for name, value in each) if each else () for each in headers]
    else:
        headers = None
    return Records(
        tp.topic,
        tp.partition,
        [record.offset for record in found],
        timestamps,
        [record.key for record in found],
        [record.value for record in found],
        headers,
    )
