"""The contract between the shell (Kafka, clocks) and the pure stages.

A stage is a factory of partition cores: one core per assigned input partition, fed in offset
order. A core returns what is to be produced and never awaits; the shell produces it, waits for
the broker, and only then moves the offsets on. The back-test runs the same cores in a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One Kafka record as a core sees it. `timestamp_ms` is the broker's record time."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Output(NamedTuple):
    """One record to produce. `partition=None` leaves the choice to the key's hash."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class PartitionCore(Protocol):
    """One input partition's part of a stage.

    Equal records in equal order give equal outputs, however they are cut into calls.
    """

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        """Absorb records (offset order, never seen twice by this core unless after `restore`)."""
        ...

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        """About twice a second, while there is something to say of the partition's end.

        `at_end`: the broker has said that as of `now_ms` everything in the partition has been read. If
        false, nobody can say (the broker is away, or we slept): time until then is no silence.

        Only ingest uses the wall clock (idle sources); detect and correlate return nothing, so
        that their state is a function of their log alone.
        """
        ...

    def needed_offset(self, next_offset: int) -> int:
        """Lowest offset that must be read again after restoring a snapshot taken now.

        `next_offset` is the offset after the last record processed; a core that holds records
        back (event-time order) answers with the oldest one held.
        """
        ...

    def snapshot(self) -> bytes | None:
        """State as bytes, or None for a stateless core."""
        ...

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot; records from `needed_offset` on will follow, some a second time."""
        ...
