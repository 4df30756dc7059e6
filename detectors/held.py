"""Rows of a shard's pages, held by kind until they are due."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.engine import Due
from detectors.lines import Line
from detectors.release import Column, ReorderBuffer, Slice
from detectors.topology import Span
from streams.records.pages import I64, U64, Histograms, Logs, NumbersPage, Page, Spans, f64, i64, u8, u64

NUMBER_BYTES, SPAN_BYTES = 24, 80
LINE_BYTES = 200
"""a held log row beside its text"""


class Part(NamedTuple):
    """One kind of rows of a page."""

    ts: I64
    columns: tuple[Column, ...]
    extra: Any
    row_bytes: int


class PageRows(NamedTuple):
    """A page's rows by kind."""

    numbers: Part
    histograms: Part | None
    lines: Part | None
    spans: Part | None

    def described(self) -> tuple[U64, I64]:
        """Fingerprints and times of all rows that belong to series."""
        if self.histograms is None:
            return self.numbers.columns[0], self.numbers.ts
        return (
            np.concatenate([self.numbers.columns[0], self.histograms.columns[0]]),
            np.concatenate([self.numbers.ts, self.histograms.ts]),
        )


def rows_of(page: Page | NumbersPage) -> PageRows:
    """The page's columns. Raises ValueError when they do not fit together."""
    fps, ts, values = u64(page.fps), i64(page.ts), f64(page.values)
    _same("samples", len(ts), len(fps), len(values))
    return PageRows(
        Part(ts, (fps, values), None, NUMBER_BYTES),
        None if page.histograms is None else _histograms(page.histograms),
        None if page.logs is None else _lines(page.logs, page.source),
        None if page.spans is None else _spans(page.spans),
    )


def _same(what: str, *lengths: int) -> None:
    if len(set(lengths)) != 1:
        raise ValueError(f"columns of {what} differ in length: {lengths}")


def _in_range(what: str, index: npt.NDArray[Any], limit: int) -> None:
    if len(index) and (int(index.min()) < 0 or int(index.max()) >= limit):
        raise ValueError(f"{what} outside 0..{limit - 1}")


def _histograms(part: Histograms) -> Part:
    fps, ts, sums = u64(part.fps), i64(part.ts), f64(part.sums)
    widths, counts = i64(part.widths), f64(part.counts)
    _same("histograms", len(ts), len(fps), len(sums), len(widths))
    if len(widths) and int(widths.min()) < 1:
        raise ValueError("a histogram without buckets")
    if int(widths.sum()) != len(counts):
        raise ValueError(f"{len(counts)} bucket counts for widths that add up to {int(widths.sum())}")
    row_bytes = 40 + 8 * (len(counts) // max(1, len(ts)))
    return Part(ts, (fps, sums, np.cumsum(widths) - widths, widths), counts, row_bytes)


def _lines(part: Logs, source: str) -> Part:
    ts, origin, severity = i64(part.ts), i64(part.origin), u8(part.severity)
    texts = (len(part.bodies), len(part.trace_ids), len(part.exceptions))
    _same("logs", len(ts), len(origin), len(severity), *texts)
    _in_range("origin of a log record", origin, len(part.origins))
    text = sum(map(len, part.bodies)) // max(1, len(ts))
    return Part(ts, (origin, severity, np.arange(len(ts))), (part, source), LINE_BYTES + text)


def _spans(part: Spans) -> Part:
    ts, service, failed = i64(part.ts), i64(part.service), u8(part.failed)
    trace, span, parent = len(part.trace_ids) / 16, len(part.span_ids) / 8, len(part.parent_ids) / 8
    if not len(ts) == len(service) == len(failed) == trace == span == parent:
        raise ValueError("columns of spans differ in length")
    _in_range("service of a span", service, len(part.services))
    return Part(ts, (service, failed, np.arange(len(ts))), part, SPAN_BYTES)


class Held:
    """The reorder buffers of a shard, one a kind."""

    def __init__(self) -> None:
        self.numbers = ReorderBuffer()
        self.histograms = ReorderBuffer()
        self.lines = ReorderBuffer()
        self.spans = ReorderBuffer()

    def _all(self) -> tuple[ReorderBuffer, ...]:
        return self.numbers, self.histograms, self.lines, self.spans

    def add(self, rows: PageRows, after: int, offset: int) -> int:
        """Hold rows newer than `after`; returns how many were too late."""
        late = 0
        for buffer, part in zip(self._all(), rows, strict=True):
            if part is not None:
                late += buffer.add(
                    part.ts, part.columns, part.extra, after=after, offset=offset, row_bytes=part.row_bytes
                )
        return late

    def take(self, to_ms: int) -> Due:
        """Remove and return all rows up to `to_ms`."""
        lines = [line for s in self.lines.take(to_ms) for line in _to_lines(s)]
        lines.sort()
        spans = [span for s in self.spans.take(to_ms) for span in _to_spans(s)]
        spans.sort()
        return Due(self.numbers.take(to_ms), self.histograms.take(to_ms), lines, spans)

    def rows(self) -> int:
        """Rows held."""
        return sum(buffer.rows for buffer in self._all())

    def held_bytes(self) -> int:
        """Estimated memory of the rows held."""
        return sum(buffer.held_bytes for buffer in self._all())

    def oldest_ts(self) -> int | None:
        """Event time of the oldest row held."""
        return min((t for b in self._all() if (t := b.oldest_ts()) is not None), default=None)

    def oldest_offset(self) -> int | None:
        """Lowest offset of a page with rows held."""
        return min((o for b in self._all() if (o := b.oldest_offset()) is not None), default=None)

    def middle_ts(self) -> int:
        """Median event time of the rows held, of which there must be some."""
        times = np.concatenate([buffer.times() for buffer in self._all()])
        return int(np.partition(times, len(times) // 2)[len(times) // 2])


def _to_lines(s: Slice) -> list[Line]:
    logs: Logs
    logs, source = s.extra
    first = s.offset << 32
    bodies, traces, exceptions, origins = logs.bodies, logs.trace_ids, logs.exceptions, logs.origins
    return [
        Line(
            at,
            (o := origins[i]).service,
            o.instance,
            bodies[row],
            level,
            traces[row],
            exceptions[row],
            o.resource,
            source,
            first + row,
        )
        for at, i, level, row in zip(s.ts.tolist(), *(c.tolist() for c in s.columns), strict=True)
    ]


def _to_spans(s: Slice) -> list[Span]:
    spans: Spans = s.extra
    return [
        Span(
            at,
            spans.trace_ids[16 * row : 16 * row + 16],
            spans.span_ids[8 * row : 8 * row + 8],
            spans.parent_ids[8 * row : 8 * row + 8],
            spans.services[i],
            bool(bad),
        )
        for at, i, bad, row in zip(s.ts.tolist(), *(c.tolist() for c in s.columns), strict=True)
    ]
