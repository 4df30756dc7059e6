"""The reorder buffer: rows wait here until the shard's watermark has passed them.

Rows stay in the arrays they came in, one chunk a page, sorted by time on arrival. Releasing cuts
slices off the chunks whose next row is due: O(log n) a chunk, nothing is copied or rescanned
while other sources are behind.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.records.pages import I64

Column = npt.NDArray[Any]


class Slice(NamedTuple):
    """Rows of one chunk that are due, sorted by time."""

    ts: I64
    columns: tuple[Column, ...]
    extra: Any
    """what the columns point into (bucket counts, log bodies, ids)"""
    offset: int = 0
    """of the page"""


class _Chunk:
    __slots__ = ("columns", "cost", "extra", "offset", "pos", "ts")

    def __init__(self, ts: I64, columns: tuple[Column, ...], extra: Any, offset: int, cost: int) -> None:
        self.ts = ts
        self.columns = columns
        self.extra = extra
        self.offset = offset
        self.cost = cost
        """bytes a row, about"""
        self.pos = 0


class ReorderBuffer:
    """Rows of one kind (numbers, histograms, logs, spans) of one shard, by event time.

    Not part of a snapshot: after a restore the pages are read again from `oldest_offset`.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _Chunk]] = []
        self._seq = 0
        self.rows = 0
        self.held_bytes = 0
        """estimated memory of the rows held"""

    def add(
        self,
        ts: I64,
        columns: Sequence[Column],
        extra: Any,
        *,
        after: int,
        offset: int,
        row_bytes: int,
    ) -> int:
        """Hold a page's rows with `ts > after`; returns how many were too late and are dropped."""
        n = len(ts)
        if not n:
            return 0
        if n > 1 and bool((ts[1:] < ts[:-1]).any()):
            order = np.argsort(ts, kind="stable")
            ts = ts[order]
            columns = [column[order] for column in columns]
        chunk = _Chunk(ts, tuple(columns), extra, offset, row_bytes)
        if int(ts[0]) <= after:
            chunk.pos = int(np.searchsorted(ts, after, side="right"))
        if chunk.pos < n:
            self._push(chunk)
            self.rows += n - chunk.pos
            self.held_bytes += (n - chunk.pos) * row_bytes
        return chunk.pos

    def take(self, to_ms: int) -> list[Slice]:
        """Remove and return all rows with `ts <= to_ms`, in no particular order between chunks."""
        due: list[Slice] = []
        while self._heap and self._heap[0][0] <= to_ms:
            chunk = heapq.heappop(self._heap)[2]
            start = chunk.pos
            end = int(np.searchsorted(chunk.ts, to_ms, side="right"))
            columns = tuple(c[start:end] for c in chunk.columns)
            due.append(Slice(chunk.ts[start:end], columns, chunk.extra, chunk.offset))
            chunk.pos = end
            self.rows -= end - start
            self.held_bytes -= (end - start) * chunk.cost
            if end < len(chunk.ts):
                self._push(chunk)
        return due

    def oldest_ts(self) -> int | None:
        """Event time of the oldest row held."""
        return self._heap[0][0] if self._heap else None

    def oldest_offset(self) -> int | None:
        """Lowest offset of a page that still has rows here."""
        return min((entry[2].offset for entry in self._heap), default=None)

    def times(self) -> I64:
        """Event times of all rows held, unordered."""
        parts = [chunk.ts[chunk.pos :] for _, _, chunk in self._heap]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _push(self, chunk: _Chunk) -> None:
        self._seq += 1  # breaks ties, chunks themselves have no order
        heapq.heappush(self._heap, (int(chunk.ts[chunk.pos]), self._seq, chunk))


def step_floor(ts: int, step_ms: int) -> int:
    """End of the last step that lies wholly at or before `ts`; steps are `(start, end]`."""
    return ts - ts % step_ms


def step_ceil(ts: int, step_ms: int) -> int:
    """End of the step that `ts` lies in; a row exactly on a boundary belongs to the step it ends."""
    return -(-ts // step_ms) * step_ms
