"""Records of one partition as columns: what a fetch is kept in, so that no object a record is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from streams.records.stage import Record

Headers = tuple[tuple[str, bytes], ...]


class Records(Sequence[Record]):
    """Consecutive records of one partition. A `Record` is made only of those that are asked for.

    `headers` is None if no record has any.
    """

    __slots__ = ("headers", "keys", "offsets", "partition", "timestamps", "topic", "values")

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: Sequence[int],
        timestamps: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offsets = offsets
        self.timestamps = timestamps
        """ms UTC; 0: none"""
        self.keys = keys
        self.values = values
        self.headers = headers

    @staticmethod
    def of(records: Sequence[Record]) -> Records:
        """The same records as columns."""
        if isinstance(records, Records):
            return records
        topic, partition = (records[0].topic, records[0].partition) if records else ("", 0)
        headers = [record.headers for record in records]
        return Records(
            topic,
            partition,
            [record.offset for record in records],
            [record.timestamp_ms for record in records],
            [record.key for record in records],
            [record.value for record in records],
            headers if any(headers) else None,
        )

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> Records: ...

    def __getitem__(self, at: int | slice) -> Record | Records:
        headers = self.headers
        if isinstance(at, slice):
            return Records(
                self.topic,
                self.partition,
                self.offsets[at],
                self.timestamps[at],
                self.keys[at],
                self.values[at],
                None if headers is None else headers[at],
            )
        return Record(
            self.topic,
            self.partition,
            self.offsets[at],
            self.timestamps[at],
            self.keys[at],
            self.values[at],
            () if headers is None else headers[at],
        )

    def __iter__(self) -> Iterator[Record]:
        for i in range(len(self)):
            yield self[i]
