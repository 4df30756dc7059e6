"""Cuts the accepted rows of a chunk into pages: one a shard, more where one would get too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.judge import Verdict
from streams.decode.parts import HistogramRows, LogRows, Part, SampleRows, SpanRows, samples
from streams.records.pages import I64, Page, Series

MAX_PAGE_BYTES = 800_000
"""About; below the 1 MiB a broker accepts by default."""

_LONG_AGO = -(2**62)


class Describer:
    """When one partition has last described a series, by slot. Mutable, bounded by the catalog."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._generation = -1
        self._last: I64 = np.empty(0, dtype=np.int64)

    def due(
        self, catalog: Catalog, parts: Sequence[SampleRows | HistogramRows], rows: Sequence[I64]
    ) -> list[int]:
        """Slots of these rows that were not described within `every_ms` of event time; now they are."""
        size = len(catalog.series.entries)
        if self._generation != catalog.generation:
            self._generation, self._last = catalog.generation, np.empty(0, dtype=np.int64)
        if size > len(self._last):
            more = np.full(max(size, 2 * len(self._last)) - len(self._last), _LONG_AGO, dtype=np.int64)
            self._last = np.concatenate([self._last, more])
        slot = np.concatenate([part.slot[chosen] for part, chosen in zip(parts, rows, strict=True)])
        ts = np.concatenate([part.ts[chosen] for part, chosen in zip(parts, rows, strict=True)])
        wanting = ts >= self._last[slot] + self._every_ms
        slot, ts = slot[wanting], ts[wanting]
        np.maximum.at(self._last, slot, ts)
        _, first = np.unique(slot, return_index=True)
        return [int(each) for each in slot[np.sort(first)]]


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

        The last page of a shard is a copy of `after` with rows; all earlier ones are of `before`,
        because rows they do not hold yet may be older than the new watermark.
        """
        catalog = self._catalog
        numbers = samples(columns, verdict.samples, own, catalog)
        buckets = HistogramRows(columns, verdict.histograms, catalog)
        parts: tuple[Part, ...] = (
            numbers,
            buckets,
            LogRows(columns, verdict.logs, catalog),
            SpanRows(columns, verdict.spans, catalog),
        )
        for shard in range(catalog.shards):
            rows = [part.rows(shard) for part in parts]
            if not any(map(len, rows)):
                yield shard, after
                continue
            due = self._describer.due(catalog, (numbers, buckets), rows[:2])
            series = [catalog.series.entries[slot] for slot in due]
            sizes = [part.sizes(chosen) for part, chosen in zip(parts, rows, strict=True)]
            described = [_described_bytes(each) for each in series]
            if sum(described) + sum(int(size.sum()) for size in sizes) <= MAX_PAGE_BYTES:
                page = _copy(after)
                page.series = series
                for part, chosen in zip(parts, rows, strict=True):
                    if len(chosen):
                        part.fill(page, chosen)
                yield shard, page
                continue
            for start, end in _cut(np.array(described, dtype=np.int64)):
                page = _copy(before)
                page.series = series[start:end]
                yield shard, page
            for part, chosen, size in zip(parts, rows, sizes, strict=True):
                for start, end in _cut(size):
                    page = _copy(before)
                    part.fill(page, chosen[start:end])
                    yield shard, page
            yield shard, after


def _copy(page: Page) -> Page:
    return Page(page.source, page.sources, page.watermark, page.state, page.epoch)


def _described_bytes(series: Series) -> int:
    pairs = (*series.labels, *series.resource)
    texts = len(series.service) + len(series.metric) + sum(len(k) + len(v) for k, v in pairs)
    return 64 + 4 * len(pairs) + texts + 9 * len(series.bounds)


def _cut(sizes: I64) -> Iterator[tuple[int, int]]:
    """Ranges of rows that each fit a page."""
    upto = np.cumsum(sizes)
    start, spent = 0, 0
    while start < len(sizes):
        end = max(start + 1, int(np.searchsorted(upto, spent + MAX_PAGE_BYTES, side="right")))
        yield start, end
        start, spent = end, int(upto[end - 1])
