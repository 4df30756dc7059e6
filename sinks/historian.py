"""The stage `history`: pages in, rows of samples in ClickHouse, a group of its own beside detect's.

The numbers of a chunk of pages go to ClickHouse in one block, as the arrays they came in. Writing them
again is harmless: rows replace themselves by series and time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from config.history import History
from config.matchers import all_match, parse
from config.settings import Settings
from detectors.control import labels_of
from detectors.held import rows_of
from sinks.clickhouse import ClickHouseSink
from sinks.columns import Table
from sinks.protocol import SinkUnavailable
from sinks.samples import (
    SERIES_COLUMNS,
    Sampled,
    buckets_block,
    extents,
    narrowed,
    numbers_block,
    sampled,
    series_row,
)
from streams.records.pages import NumbersPage, Series, decode_numbers
from streams.records.stage import Record

log = logging.getLogger(__name__)

SAMPLES = Table("samples", ("fingerprint", "ts", "value"))
HISTOGRAMS = Table("histogram_samples", ("fingerprint", "ts", "sum", "counts"))
SERIES = Table("series", SERIES_COLUMNS)
PAUSE_S = 0.25
"""between inserts while there is little to insert: each makes a part that ClickHouse has to merge"""
MANY_ROWS = 10_000
EVICT_SHARE = 64


class Known:
    """Series seen so far: when first, and whether they are kept. Mutable, bounded, forgets the oldest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.first_ms: dict[int, int] = {}
        """of those kept"""
        self.refused: dict[int, None] = {}
        self.evicted = 0

    def keep(self, fp: int, first_ms: int) -> int:
        """The first time known of the series."""
        before = self.first_ms.pop(fp, first_ms)
        self.refused.pop(fp, None)
        self.first_ms[fp] = min(before, first_ms)
        self._bound()
        return self.first_ms[fp]

    def refuse(self, fp: int) -> None:
        self.first_ms.pop(fp, None)
        self.refused[fp] = None
        self._bound()

    def _bound(self) -> None:
        if len(self.first_ms) + len(self.refused) <= self._limit:
            return
        for book in (self.refused, self.first_ms):
            gone = list(book)[: -(-len(book) // EVICT_SHARE)]
            for fp in gone:
                del book[fp]
            self.evicted += len(gone)


class Historian:
    """A `SinkHandler` (see `streams.agents.sinkrunner`)."""

    retryable: tuple[type[Exception], ...] = (SinkUnavailable,)

    def __init__(
        self, history: History, sink: ClickHouseSink, domain_label: str = "", pause_s: float = PAUSE_S
    ) -> None:
        self._history = history
        self._matchers = [parse(text) for text in history.matchers]
        self._sink = sink
        self._label = domain_label
        self._pause_s = pause_s
        self._inserted_at = 0.0
        self._counts: Counter[str] = Counter()
        self.known = Known(history.max_series)

    @property
    def counts(self) -> Mapping[str, int]:
        """Pages `written` and `refused:bad-page` (the detect stage makes dead letters of those); rows
        `samples`, `histograms`, `left_out`; descriptions `series`; `evicted_series`."""
        return {**self._counts, "evicted_series": self.known.evicted}

    async def start(self) -> None:
        """Raises `SinkUnavailable` or `SinkMisconfigured`, both with a message for a person."""
        await self._sink.start()
        for table in (SAMPLES, HISTOGRAMS, SERIES):
            await self._keep_for(table)

    async def stop(self) -> None:
        await self._sink.stop()

    async def write(self, records: Sequence[Record]) -> None:
        """Return when ClickHouse has all of it. Raises `SinkUnavailable`."""
        pages, bad = _opened(records)
        rows = sampled(pages)
        rows, left_out = await self._chosen(rows)
        n = len(rows.numbers.ts) + len(rows.buckets.ts)
        if n or rows.series:
            await self._breathe(n)
        described = await self._described(rows)
        if described:
            await self._sink.insert_rows(SERIES, described)
        if len(rows.numbers.ts):
            await self._sink.insert_block(SAMPLES, numbers_block(rows.numbers))
        if len(rows.buckets.ts):
            await self._sink.insert_block(HISTOGRAMS, buckets_block(rows.buckets))
        # Only now: a batch that is tried again must not be counted twice.
        self._counts.update(
            {
                "written": len(pages),
                "samples": len(rows.numbers.ts),
                "histograms": len(rows.buckets.ts),
                "left_out": left_out,
                "series": len(described),
            }
        )
        if bad:
            self._counts["refused:bad-page"] += bad

    async def _chosen(self, rows: Sampled) -> tuple[Sampled, int]:
        """Rows of the series that are kept, and how many others there were."""
        unwanted: set[int] = set()
        wanted: dict[int, Series] = {}
        for fp, series in rows.series.items():
            if self._matchers and not all_match(self._matchers, labels_of(series)):
                unwanted.add(fp)
                self.known.refuse(fp)
            else:
                wanted[fp] = series
        if self._matchers:
            fps = np.unique(np.concatenate([rows.numbers.fps, rows.buckets.fps])).tolist()
            asked = [fp for fp in fps if fp not in wanted and fp not in unwanted]
            unwanted.update(fp for fp in asked if fp in self.known.refused)
            unknown = [fp for fp in asked if fp not in self.known.refused and fp not in self.known.first_ms]
            if unknown:
                # Described before this worker began. What was kept is in the table; the rest is described
                # again within `ingest.describe_every_ms`.
                stored = await self._first_seen(unknown)
                for fp, first_ms in stored.items():
                    self.known.keep(fp, first_ms)
                unwanted.update(fp for fp in unknown if fp not in stored)
        before = len(rows.numbers.ts) + len(rows.buckets.ts)
        kept = narrowed(rows._replace(series=wanted), np.fromiter(sorted(unwanted), np.uint64))
        return kept, before - len(kept.numbers.ts) - len(kept.buckets.ts)

    async def _described(self, rows: Sampled) -> list[tuple[object, ...]]:
        """Rows of the table of series for those described in this chunk that have samples in it.

        Ingest describes a series in the page of a sample of its, so none is missed.
        """
        spans = extents(rows, rows.series)
        new = [fp for fp in spans if fp not in self.known.first_ms]
        stored = await self._first_seen(new) if new else {}
        found = []
        for fp, (first_ms, last_ms) in spans.items():
            earliest = self.known.keep(fp, min(first_ms, stored.get(fp, first_ms)))
            found.append(series_row(rows.series[fp], self._label, earliest, last_ms))
        return found

    async def _first_seen(self, fps: Sequence[int]) -> dict[int, int]:
        """Those in the table, and since when."""
        found = await self._sink.ask(
            "SELECT fingerprint, min(toUnixTimestamp64Milli(first_seen)) FROM series"
            " WHERE fingerprint IN {fps:Array(UInt64)} GROUP BY fingerprint",
            fps=list(fps),
        )
        return {int(row[0]): int(row[1]) for row in found}

    async def _breathe(self, rows: int) -> None:
        """A pause, while there is little to do; what comes meanwhile is the next chunk's."""
        wait = self._inserted_at + self._pause_s - time.monotonic()
        if rows < MANY_ROWS and wait > 0:
            await asyncio.sleep(wait)
        self._inserted_at = time.monotonic()

    async def _keep_for(self, table: Table) -> None:
        """Set how long rows are kept, unless it is so already: a change looks at every part."""
        found = await self._sink.ask(
            "SELECT engine_full FROM system.tables"
            " WHERE database = currentDatabase() AND name = {name:String}",
            name=table.name,
        )
        days = self._history.days
        if not any(f"toIntervalDay({days})" in str(row[0]) for row in found):
            # A statement of this kind takes no parameters; the number is an integer by the settings' type.
            await self._sink.command(
                f"ALTER TABLE {table.name} MODIFY TTL written_at + toIntervalDay({int(days)})"
            )


def _opened(records: Sequence[Record]) -> tuple[list[NumbersPage], int]:
    """Pages, and how many records were none."""
    pages: list[NumbersPage] = []
    bad = 0
    for record in records:
        try:
            page = decode_numbers(record.value or b"")
            rows_of(page)
        except (msgspec.DecodeError, ValueError):
            bad += 1
            continue
        if page.fps or page.histograms is not None or page.series:
            pages.append(page)
    return pages, bad


def historian(settings: Settings) -> Historian:
    """The handler of the stage as configured."""
    sink = ClickHouseSink(settings.clickhouse, patience_s=2.0, tables=(SERIES,))
    return Historian(settings.history, sink, settings.correlate.domain_label)
