"""The accepted rows of a chunk, one object a kind, sorted by shard and cut into pieces for pages.

Every kind answers the same few questions: which rows belong to a shard, how many bytes they take,
and what they look like in a page. Within a shard rows keep the order in which they came.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from streams.decode.catalog import Catalog, Slots
from streams.decode.columns import Columns
from streams.decode.judge import Mask, floats, ints
from streams.records.pages import F64, I64, Histograms, Logs, Origin, Page, Spans


class Part(Protocol):
    """Rows of one kind in a chunk."""

    def rows(self, shard: int) -> I64:
        """Numbers of the rows of this shard, in order of arrival."""
        ...

    def sizes(self, rows: I64) -> I64:
        """Bytes each of these rows takes in a page, about."""
        ...

    def fill(self, page: Page, rows: I64) -> None:
        """Put these rows into a page that has none of this kind yet."""
        ...


def text_bytes(text: str) -> int:
    """Bytes on the wire, at most: nearly always one a character, never more than four."""
    return len(text) if text.isascii() else 4 * len(text)


def _origin_bytes(origins: Slots[Origin], of: I64) -> I64:
    """Bytes of the origin of each row: a page holds it once, but any row may be the first of a page."""
    used, index = np.unique(of, return_inverse=True)
    sizes = [
        text_bytes(origin.service)
        + text_bytes(origin.instance)
        + sum(4 + text_bytes(key) + text_bytes(value) for key, value in origin.resource)
        for origin in map(origins.entries.__getitem__, used.tolist())
    ]
    return np.array(sizes, dtype=np.int64)[index]


class _ByShard:
    """Row numbers grouped by shard."""

    def __init__(self, shard: I64, shards: int, rows: I64) -> None:
        order = np.argsort(shard, kind="stable")
        self._rows = rows[order]
        self._bounds = np.searchsorted(shard[order], np.arange(shards + 1))

    def rows(self, shard: int) -> I64:
        return self._rows[self._bounds[shard] : self._bounds[shard + 1]]


class SampleRows:
    def __init__(self, slot: I64, ts: I64, value: F64, catalog: Catalog) -> None:
        self.slot, self.ts, self.value = slot, ts, value
        self._fps = catalog.fps
        self._home = _ByShard(catalog.series.shard[slot], catalog.shards, np.arange(len(slot)))

    def rows(self, shard: int) -> I64:
        return self._home.rows(shard)

    def sizes(self, rows: I64) -> I64:
        return np.full(len(rows), 24)

    def fill(self, page: Page, rows: I64) -> None:
        page.fps = self._fps[self.slot[rows]].tobytes()
        page.ts = self.ts[rows].tobytes()
        page.values = self.value[rows].tobytes()


class HistogramRows:
    def __init__(self, columns: Columns, passed: Mask, catalog: Catalog) -> None:
        self.slot, self.ts = ints(columns.h_slot), ints(columns.h_ts)
        self._sum = floats(columns.h_sum)
        self._count = np.frombuffer(bytes(columns.h_count), dtype="<u8").astype(np.float64)
        self._width = ints(columns.h_width)
        self._start = np.cumsum(self._width) - self._width
        self._fps = catalog.fps
        self.passed = np.flatnonzero(passed)
        self._home = _ByShard(catalog.series.shard[self.slot[self.passed]], catalog.shards, self.passed)

    def rows(self, shard: int) -> I64:
        return self._home.rows(shard)

    def sizes(self, rows: I64) -> I64:
        return 32 + 8 * self._width[rows]

    def fill(self, page: Page, rows: I64) -> None:
        width = self._width[rows]
        # Positions of all buckets of these rows, one row after another.
        within = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
        page.histograms = Histograms(
            self._fps[self.slot[rows]].tobytes(),
            self.ts[rows].tobytes(),
            self._sum[rows].tobytes(),
            width.tobytes(),
            self._count[np.repeat(self._start[rows], width) + within].tobytes(),
        )


class LogRows:
    def __init__(self, columns: Columns, passed: Mask, catalog: Catalog) -> None:
        self._columns = columns
        self._origins = catalog.origins
        self._origin, self._ts = ints(columns.l_origin), ints(columns.l_ts)
        self._severity = np.array(columns.l_severity, dtype=np.uint8)
        rows = np.flatnonzero(passed)
        self._home = _ByShard(catalog.origins.shard[self._origin[rows]], catalog.shards, rows)

    def rows(self, shard: int) -> I64:
        return self._home.rows(shard)

    def sizes(self, rows: I64) -> I64:
        columns = self._columns
        texts = [
            100
            + text_bytes(columns.bodies[row])
            + text_bytes(columns.trace_ids[row])
            + text_bytes(columns.exceptions[row])
            for row in rows.tolist()
        ]
        return np.array(texts, dtype=np.int64) + _origin_bytes(self._origins, self._origin[rows])

    def fill(self, page: Page, rows: I64) -> None:
        used, index = _numbered(self._origin[rows])
        chosen = rows.tolist()
        columns = self._columns
        page.logs = Logs(
            [self._origins.entries[slot] for slot in used.tolist()],
            index.tobytes(),
            self._ts[rows].tobytes(),
            self._severity[rows].tobytes(),
            [columns.bodies[row] for row in chosen],
            [columns.trace_ids[row] for row in chosen],
            [columns.exceptions[row] for row in chosen],
        )


class SpanRows:
    """Sharded by trace id, so that a parent and its children meet."""

    def __init__(self, columns: Columns, passed: Mask, catalog: Catalog) -> None:
        self._origins = catalog.origins
        self._origin, self._ts = ints(columns.s_origin), ints(columns.s_ts)
        self._trace = np.frombuffer(bytes(columns.s_trace), dtype="u1").reshape(-1, 16)
        self._span = np.frombuffer(bytes(columns.s_span), dtype="u1").reshape(-1, 8)
        self._parent = np.frombuffer(bytes(columns.s_parent), dtype="u1").reshape(-1, 8)
        self._failed = np.array(columns.s_failed, dtype=np.uint8)
        rows = np.flatnonzero(passed)
        # Trace ids are random already; both halves, because some producers put a time in one.
        halves = np.frombuffer(bytes(columns.s_trace), dtype="<u8").reshape(-1, 2)[rows]
        shard = ((halves[:, 0] ^ halves[:, 1]) % np.uint64(catalog.shards)).astype(np.int64)
        self._home = _ByShard(shard, catalog.shards, rows)

    def rows(self, shard: int) -> I64:
        return self._home.rows(shard)

    def sizes(self, rows: I64) -> I64:
        return 64 + _origin_bytes(self._origins, self._origin[rows])

    def fill(self, page: Page, rows: I64) -> None:
        used, index = _numbered(self._origin[rows])
        page.spans = Spans(
            [self._origins.entries[slot].service for slot in used.tolist()],
            index.tobytes(),
            self._ts[rows].tobytes(),
            self._trace[rows].tobytes(),
            self._span[rows].tobytes(),
            self._parent[rows].tobytes(),
            self._failed[rows].tobytes(),
        )


def _numbered(origin: I64) -> tuple[I64, I64]:
    """Origins in the order of their first rows, whatever their slots; each row's place among them."""
    used, first, index = np.unique(origin, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return used[order], place[index]


def samples(
    columns: Columns, passed: Mask, own: Sequence[tuple[int, int, float]], catalog: Catalog
) -> SampleRows:
    """The accepted samples followed by `own`: (slot, ts in ms, value) of telemetry about ourselves."""
    slot, ts, value = ints(columns.slot), ints(columns.ts), floats(columns.value)
    if not passed.all():
        slot, ts, value = slot[passed], ts[passed], value[passed]
    if own:
        slot = np.concatenate([slot, ints(array("q", [row[0] for row in own]))])
        ts = np.concatenate([ts, ints(array("q", [row[1] for row in own]))])
        value = np.concatenate([value, floats(array("d", [row[2] for row in own]))])
    return SampleRows(slot, ts, value, catalog)
