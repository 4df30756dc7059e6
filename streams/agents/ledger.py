"""Which offset of a partition may be committed: bookkeeping of chunks, not of records.

Stock Faust fills gaps in the offsets with intervals and looks for runs of consecutive numbers. With
one message a chunk every step is a gap, and commits stall. Here chunks are committed in the order
in which they were delivered, whatever their offsets are.
"""

from __future__ import annotations

from collections import deque


class PartitionLedger:
    """Chunks of one partition that were handed to the agent and not yet forgotten. Mutable."""

    __slots__ = ("_acked", "_committable", "_delivered")

    def __init__(self) -> None:
        self._delivered: deque[int] = deque()
        self._acked: set[int] = set()
        self._committable: int | None = None

    def deliver(self, last_offset: int) -> None:
        """Note a chunk by the offset of its last record, in the order of reading."""
        self._delivered.append(last_offset)

    def ack(self, last_offset: int) -> bool:
        """The chunk's effect is safe. False if no such chunk is outstanding (it was seeked away)."""
        if last_offset in self._acked or last_offset not in self._delivered:
            return False
        self._acked.add(last_offset)
        while self._delivered and self._delivered[0] in self._acked:
            done = self._delivered.popleft()
            self._acked.discard(done)
            self._committable = max(done + 1, self._committable or 0)
        return True

    def committable(self, ceiling: int | None = None) -> int | None:
        """Offset to commit (that of the next record to read), at most `ceiling`; None: nothing yet."""
        if self._committable is None or ceiling is None:
            return self._committable
        return min(self._committable, ceiling)

    @property
    def outstanding(self) -> int:
        """Chunks delivered and not yet covered by `committable`."""
        return len(self._delivered)
