"""Cuts the accepted rows of a chunk into pages: one a shard, more where one would get too large."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.judge import Verdict
from streams.decode.parts import HistogramRows, LogRows, Part, SampleRows, SpanRows, samples, text_bytes
from streams.records.pages import I64, Page, Series

MAX_PAGE_BYTES = 800_000
"""About; below the 1 MiB a broker accepts by default."""

_LONG_AGO = -(2**62)
"""times are kept from here on: an array of zeros says "never", and takes memory only where it is written"""


class Describer:
    """When one partition has last described a series, by slot. Mutable, bounded by the catalog."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._generation = -1
        self._last: I64 = np.empty(0, dtype=np.int64)
        """[slot] event time since `_LONG_AGO`, ms"""

    def due(self, catalog: Catalog, slot: I64, ts: I64) -> I64:
        """Positions of the rows with which their series must be described: the first of each that was
        not described within `every_ms` of event time. They count as described from now on.
        """
        size = len(catalog.series.entries)
        if self._generation != catalog.generation:
            self._generation, self._last = catalog.generation, np.empty(0, dtype=np.int64)
        if size > len(self._last):
            before, self._last = self._last, np.zeros(max(size, 2 * len(self._last)), dtype=np.int64)
            self._last[: len(before)] = before
        wanting = np.flatnonzero(ts >= self._last[slot] + (_LONG_AGO + self._every_ms))
        if not len(wanting):
            return wanting
        at = wanting[firsts(catalog, slot[wanting])]
        self._last[slot[at]] = ts[at] - _LONG_AGO
        return at


def firsts(catalog: Catalog, slot: I64) -> I64:
    """Positions of the rows whose slot no earlier row has."""
    place, position = catalog.scratch(), np.arange(len(slot))
    place[slot[::-1]] = position[::-1]  # of equal slots the last one stays: the first row
    return np.flatnonzero(place[slot] == position)


class Piece(NamedTuple):
    """Rows of one kind that go into one page, and the series to be described with them."""

    part: Part
    rows: I64
    series: list[Series]


class Pager:
    """Makes the pages of one source partition. Mutable only in what it has described."""

    def __init__(self, catalog: Catalog, describe_every_ms: int) -> None:
        self._catalog = catalog
        self._describer = Describer(describe_every_ms)

    def pages(
        self,
        columns: Columns,
        verdict: Verdict,
        own: Sequence[tuple[int, int, float]],
        before: Page,
        after: Page,
    ) -> Iterator[tuple[int, Page]]:
        """(shard, page) for every row accepted, and at least one page a shard.

        The last page of a shard is `after`, with rows or as it is; all earlier ones are like
        `before`, because rows they do not hold yet may be older than the new watermark.
        """
        catalog = self._catalog
        described: list[SampleRows | HistogramRows] = []
        if own or verdict.samples.any():
            described.append(samples(columns, verdict.samples, own, catalog))
        if verdict.histograms.any():
            described.append(HistogramRows(columns, verdict.histograms, catalog))
        plain: list[LogRows | SpanRows] = []
        if verdict.logs.any():
            plain.append(LogRows(columns, verdict.logs, catalog))
        if verdict.spans.any():
            plain.append(SpanRows(columns, verdict.spans, catalog))
        for shard in range(catalog.shards):
            pieces: list[Piece] = []
            total = 0
            for series_rows in described:
                found, size = self._described(series_rows, series_rows.rows(shard))
                pieces += found
                total += size
            for part in plain:
                rows = part.rows(shard)
                sizes = part.sizes(rows)
                total += int(sizes.sum())
                pieces += [Piece(part, rows[start:end], []) for start, end in _cut(sizes)]
            if not pieces:
                yield shard, after
                continue
            kinds = {id(piece.part) for piece in pieces}
            if len(pieces) == len(kinds) and total <= MAX_PAGE_BYTES:
                yield shard, _filled(after, pieces)
                continue
            for piece in pieces:
                yield shard, _filled(before, [piece])
            yield shard, after

    def _described(self, part: SampleRows | HistogramRows, rows: I64) -> tuple[list[Piece], int]:
        """The rows in pieces that fit a page, and their bytes.

        A description travels with the first row it is due for, and holds from there on. Where two
        descriptions share a fingerprint (a new version of a service, say), a piece ends in front of
        each, so that a page never holds rows of before together with what holds after.
        """
        if not len(rows):
            return [], 0
        catalog = self._catalog
        slot = part.slot[rows]
        due = self._describer.due(catalog, slot, part.ts[rows])
        series = [catalog.series.entries[each] for each in slot[due].tolist()]
        sizes = part.sizes(rows)
        sizes[due] += np.array([_described_bytes(each) for each in series], dtype=np.int64)
        apart = self._clashes(slot, due)
        ranges = [
            (start + first, start + last)
            for start, end in itertools.pairwise([0, *apart, len(rows)])
            for first, last in _cut(sizes[start:end])
        ]
        pieces = []
        for start, end in ranges:
            first, last = np.searchsorted(due, (start, end))
            pieces.append(Piece(part, rows[start:end], series[first:last]))
        return pieces, int(sizes.sum())

    def _clashes(self, slot: I64, due: I64) -> list[int]:
        """Positions of due rows whose fingerprint another series among these rows has, too."""
        if not len(due):
            return []
        fps = self._catalog.fps
        used = slot[firsts(self._catalog, slot)]
        shared, count = np.unique(fps[used], return_counts=True)
        if len(shared) == len(used):
            return []
        clashing = np.isin(fps[slot[due]], shared[count > 1])
        return [at for at in due[clashing].tolist() if at > 0]


def _filled(page: Page, pieces: Sequence[Piece]) -> Page:
    """A copy of the page with these rows."""
    filled = Page(page.source, page.sources, page.watermark, page.state, page.epoch)
    for piece in pieces:
        filled.series = filled.series + piece.series
        piece.part.fill(filled, piece.rows)
    return filled


def _described_bytes(series: Series) -> int:
    pairs = (*series.labels, *series.resource)
    texts = sum(map(text_bytes, (series.service, series.metric, series.unit)))
    texts += sum(text_bytes(key) + text_bytes(value) for key, value in pairs)
    return 64 + 4 * len(pairs) + texts + 9 * len(series.bounds)


def _cut(sizes: I64) -> Iterator[tuple[int, int]]:
    """Ranges of rows that each fit a page."""
    if not len(sizes):
        return
    upto = np.cumsum(sizes)
    if upto[-1] <= MAX_PAGE_BYTES:
        yield 0, len(sizes)
        return
    start, spent = 0, 0
    while start < len(sizes):
        end = max(start + 1, int(np.searchsorted(upto, spent + MAX_PAGE_BYTES, side="right")))
        yield start, end
        start, spent = end, int(upto[end - 1])
