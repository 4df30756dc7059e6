# mypy: allow-subclassing-any
"""Reads record batches whose header names are not UTF-8.

Kafka says header names are UTF-8 but no broker checks it, and aiokafka raises while it unpacks the
fetched batches: a single such record from any producer would stop its partition for good. Here
such a fetch is read once more, with the undecodable bytes replaced; all others take the usual way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from streams.agents.bulk import BulkFetchResult

log = logging.getLogger(__name__)


class _Lenient(bytearray):
    """Slices of it decode without complaint."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, "replace")


class _LenientRecords(_MemoryRecordsPy):
    """The batches of a fetch, unpacked in Python: slow, and only for a fetch that needs it."""

    def next_batch(self, *_: Any) -> Any:
        raw = self._next_slice
        found: Any = super().next_batch()
        if not isinstance(found, DEFAULT_BATCHES):
            return found  # formats before v2 have no headers
        lenient: Any = _DefaultRecordBatchPy(raw)
        if found.validate_crc():
            lenient._maybe_uncompress()
            lenient._buffer = _Lenient(lenient._buffer)
            lenient.validate_crc = lambda: True
        return lenient


DEFAULT_BATCHES: tuple[Any, ...] = tuple(
    {_DefaultRecordBatchPy, aiokafka.record.default_records.DefaultRecordBatch}
)


class KeptRecords(MemoryRecords):
    """In place of aiokafka's `MemoryRecords`: remembers the bytes it was made of."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


class TolerantPartitionRecords(PartitionRecords):
    """In place of aiokafka's `PartitionRecords`: starts over leniently after a name it cannot decode."""

    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError as error:
            yield from self.leniently(error)

    def leniently(self, error: UnicodeDecodeError) -> Iterator[Any]:
        """Everything from `next_fetch_offset` on, after this error."""
        log.warning("%s/%s: a header name is not UTF-8: %s", *self._tp, error)
        from_offset = self.next_fetch_offset
        self._records: Any = _LenientRecords(self._records.raw)
        for record in super()._unpack_records():
            if record.offset >= from_offset:  # the rest of the fetch has been handed out already
                yield record


def install() -> None:
    """Have this process's consumers read tolerantly, and in bulk if marked so.

    aiokafka offers no hook, so its names are replaced.
    """
    aiokafka.consumer.fetcher.MemoryRecords = KeptRecords
    aiokafka.consumer.fetcher.PartitionRecords = TolerantPartitionRecords
    aiokafka.consumer.fetcher.FetchResult = BulkFetchResult
