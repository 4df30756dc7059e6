"""Columns: where decoders put rows. One `Columns` a chunk of records, flat arrays per kind of row.

Decoders append and never look back; whether a row is acceptable in time is judged afterwards for
the whole chunk at once (`streams.decode.judge`). A decoder that raises `BadRecord` half-way leaves
no trace: the rows of the record are cut off again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from streams.decode.catalog import Catalog
from streams.decode.otlp import MAX_BODY
from streams.records.messages import Action, Change, ExternalAlert, SilenceAction
from streams.records.pages import F64, I64

MAX_EXCEPTION, MAX_TRACE_ID = 200, 64
"""characters kept of what stands beside a log body"""

Message = Change | Action | SilenceAction | ExternalAlert
"""what bypasses detect"""


class Decoder(Protocol):
    """One wire format."""

    def __call__(self, value: bytes, sink: Columns) -> None:
        """Append the rows of one record. Raises `BadRecord` if none of it can be read."""
        ...


class BatchDecoder(Protocol):
    """A wire format that can read many records at once. What comes out must be what `Decoder` gives."""

    def __call__(self, values: Sequence[bytes], sink: Columns, one: Callable[[int], None]) -> None:
        """Append the rows of all records in order and finish each, in one of two ways: by itself, with
        `Columns.samples`, `histograms` and `finish_many`, or through `one(i)`, which decodes `values[i]` by
        the format's `Decoder`. No value is empty or oversized.
        """
        ...


class Refusal(NamedTuple):
    """Rows of a record refused for one reason; `detail` describes the first of them."""

    reason: str
    detail: str
    rows: int


class _Mark(NamedTuple):
    samples: int
    histograms: int
    buckets: int
    logs: int
    spans: int
    messages: int
    refused: dict[str, Refusal]


class Columns:
    """Rows of a chunk in the order of their records. Mutable.

    Samples: `slot` (of `Catalog.series`), `ts` ms UTC, `value`. Histograms: `h_slot`, `h_ts`,
    `h_sum` (NaN: none sent), `h_width` buckets each in `h_count` (u64, little-endian). Logs:
    `l_origin` (slot of `Catalog.origins`), `l_ts`, `l_severity`, `bodies`, `trace_ids`,
    `exceptions`. Spans: `s_origin`, `s_ts`, 16, 8 and 8 bytes of ids in `s_trace`, `s_span`,
    `s_parent`, `s_failed`.
    `counts` holds, per finished record, its number of rows of each of the four kinds.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.reference_ms = -1
        """of the record being decoded: stands in for a missing time of a log line; -1 unknown"""
        self.slot = array("q")
        self.ts = array("q")
        self.value = array("d")
        self.h_slot = array("q")
        self.h_ts = array("q")
        self.h_sum = array("d")
        self.h_width = array("q")
        self.h_count = bytearray()
        self.l_origin = array("q")
        self.l_ts = array("q")
        self.l_severity = array("B")
        self.bodies: list[str] = []
        self.trace_ids: list[str] = []
        self.exceptions: list[str] = []
        self.s_origin = array("q")
        self.s_ts = array("q")
        self.s_trace = bytearray()
        self.s_span = bytearray()
        self.s_parent = bytearray()
        self.s_failed = array("B")
        self.messages: list[tuple[int, Message]] = []
        """(record number, message)"""
        self.counts: array[int] = array("q")
        self._finished = (0, 0, 0, 0)
        self.refusals: dict[int, list[Refusal]] = {}
        """record number -> refusals by the decoder"""
        self._refused: dict[str, Refusal] = {}

    @property
    def records(self) -> int:
        """Records finished so far."""
        return len(self.counts) // 4

    def refuse(self, reason: str, detail: str, rows: int = 1) -> None:
        """Leave rows of the current record out; the others stay."""
        known = self._refused.get(reason)
        self._refused[reason] = (
            Refusal(reason, detail, rows) if known is None else known._replace(rows=known.rows + rows)
        )

    def sample(self, slot: int, ts_ms: int, value: float) -> None:
        self.value.append(value)
        self.slot.append(slot)
        self.ts.append(ts_ms)

    def samples(self, slot: I64, ts_ms: I64, value: F64) -> None:
        """Samples of several records, in order; `finish_many` says which has how many."""
        self.value.frombytes(value.tobytes())
        self.slot.frombytes(slot.tobytes())
        self.ts.frombytes(ts_ms.tobytes())

    def histograms(self, slot: I64, ts_ms: I64, total: F64, width: I64, counts: bytes) -> None:
        """Rows of several records, in order; `finish_many` says which has how many."""
        self.h_count += counts
        self.h_width.frombytes(width.tobytes())
        self.h_slot.frombytes(slot.tobytes())
        self.h_ts.frombytes(ts_ms.tobytes())
        self.h_sum.frombytes(total.tobytes())

    def finish_many(self, counts: I64) -> None:
        """Several records are complete; `counts` [n, 4] rows of each kind, all appended by now."""
        self.counts.frombytes(counts.tobytes())
        self._finished = (len(self.slot), len(self.h_slot), len(self.l_origin), len(self.s_origin))

    def histogram(self, slot: int, ts_ms: int, total: float, counts: bytes) -> None:
        """`counts`: u64, little-endian, one after another; `total` NaN if none was sent."""
        self.h_count += counts
        self.h_width.append(len(counts) // 8)
        self.h_slot.append(slot)
        self.h_ts.append(ts_ms)
        self.h_sum.append(total)

    def log(
        self, origin: int, ts_ms: int, severity: int, body: str, trace_id: str = "", exception: str = ""
    ) -> None:
        self.l_origin.append(origin)
        self.l_ts.append(ts_ms)
        self.l_severity.append(severity if 0 <= severity <= 24 else 0)
        # Whatever the format, a line must fit a page: what is longer is cut.
        self.bodies.append(body[:MAX_BODY])
        self.trace_ids.append(trace_id[:MAX_TRACE_ID])
        self.exceptions.append(exception[:MAX_EXCEPTION])

    def span(
        self, origin: int, ts_ms: int, trace_id: bytes, span_id: bytes, parent_id: bytes, failed: bool
    ) -> None:
        """`trace_id` has 16 bytes, the others 8 (`parent_id` all zero for a root)."""
        self.s_origin.append(origin)
        self.s_ts.append(ts_ms)
        self.s_trace += trace_id
        self.s_span += span_id
        self.s_parent += parent_id
        self.s_failed.append(failed)

    def message(self, message: Message) -> None:
        """Something for the correlator, which bypasses detect."""
        self.messages.append((self.records, message))

    def mark(self) -> _Mark:
        """Where the next record begins."""
        return _Mark(
            len(self.slot),
            len(self.h_slot),
            len(self.h_count),
            len(self.l_origin),
            len(self.s_origin),
            len(self.messages),
            dict(self._refused),
        )

    def undo(self, mark: _Mark) -> None:
        """Forget everything since `mark`: the record, or a part of it, turned out to be bad."""
        for column in (self.slot, self.ts, self.value):
            del column[mark.samples :]
        for column in (self.h_slot, self.h_ts, self.h_sum, self.h_width):
            del column[mark.histograms :]
        del self.h_count[mark.buckets :]
        for column in (self.l_origin, self.l_ts, self.l_severity):
            del column[mark.logs :]
        for texts in (self.bodies, self.trace_ids, self.exceptions):
            del texts[mark.logs :]
        for column in (self.s_origin, self.s_ts, self.s_failed):
            del column[mark.spans :]
        del self.s_trace[16 * mark.spans :]
        del self.s_span[8 * mark.spans :]
        del self.s_parent[8 * mark.spans :]
        del self.messages[mark.messages :]
        self._refused = dict(mark.refused)

    def finish(self) -> None:
        """The current record is complete."""
        if self._refused:
            self.refusals[self.records] = list(self._refused.values())
            self._refused = {}
        a, b, c, d = self._finished
        now = (len(self.slot), len(self.h_slot), len(self.l_origin), len(self.s_origin))
        self.counts.extend((now[0] - a, now[1] - b, now[2] - c, now[3] - d))
        self._finished = now
