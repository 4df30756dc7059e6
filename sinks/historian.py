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
from typing import Any, NamedTuple

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
TELL_AGAIN_MS = 3_600_000
"""a description that has not changed is written again after so much event time, for its last sample's time"""
NEVER = -(2**62)


class Seen(NamedTuple):
    """A series that is kept."""

    first_ms: int
    description: int = 0
    """hash of what the table says of it; within this process only"""
    written_ms: int = NEVER
    """newest sample when it was written to the table last"""


class Known:
    """Series met so far, and whether they are kept. Mutable, bounded, forgets those described longest ago."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.kept: dict[int, Seen] = {}
        self.refused: dict[int, int] = {}
        """fingerprint to hash of the description"""
        self.evicted = 0

    def keep(self, fp: int, seen: Seen) -> None:
        self.kept.pop(fp, None)
        self.refused.pop(fp, None)
        self.kept[fp] = seen
        self._bound()

    def refuse(self, series: Series) -> None:
        self.kept.pop(series.fp, None)
        self.refused.pop(series.fp, None)
        self.refused[series.fp] = hash(series)
        self._bound()

    def _bound(self) -> None:
        if len(self.kept) + len(self.refused) <= self._limit:
            return
        books: tuple[dict[int, Any], ...] = (self.refused, self.kept)
        for book in books:
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
        """Pages `written` and `skipped` (no pages; the detect stage makes dead letters of them); rows
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
        described, told = await self._described(rows)
        if described:
            await self._sink.insert_rows(SERIES, described)
        for fp, seen in told.items():
            self.known.keep(fp, seen)
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
            self._counts["skipped"] += bad

    async def _chosen(self, rows: Sampled) -> tuple[Sampled, int]:
        """Rows of the series that are kept, and how many others there were."""
        unwanted: set[int] = set()
        wanted: dict[int, Series] = {}
        for fp, series in rows.series.items():
            if self._matchers and not self._wants(series):
                unwanted.add(fp)
            else:
                wanted[fp] = series
        if self._matchers:
            fps = np.unique(np.concatenate([rows.numbers.fps, rows.buckets.fps])).tolist()
            asked = [fp for fp in fps if fp not in wanted and fp not in unwanted]
            unwanted.update(fp for fp in asked if fp in self.known.refused)
            unknown = [fp for fp in asked if fp not in self.known.refused and fp not in self.known.kept]
            if unknown:
                # Described before this worker began. What was kept is in the table; the rest is described
                # again within `ingest.describe_every_ms`.
                stored = await self._first_seen(unknown)
                for fp, first_ms in stored.items():
                    self.known.keep(fp, Seen(first_ms))
                unwanted.update(fp for fp in unknown if fp not in stored)
        before = len(rows.numbers.ts) + len(rows.buckets.ts)
        kept = narrowed(rows._replace(series=wanted), np.fromiter(sorted(unwanted), np.uint64))
        return kept, before - len(kept.numbers.ts) - len(kept.buckets.ts)

    async def _described(self, rows: Sampled) -> tuple[list[tuple[object, ...]], dict[int, Seen]]:
        """Rows of the table of series for those described in this chunk that have samples in it and of which
        there is something to tell, and what is known of them once it is written.

        Ingest describes a series in the page of a sample of its, so none is missed.
        """
        spans = extents(rows, rows.series)
        due: dict[int, tuple[int, int]] = {}
        for fp, (first_ms, last_ms) in spans.items():
            seen = self.known.kept.get(fp)
            if (
                seen is None
                or seen.description != hash(rows.series[fp])
                or last_ms - seen.written_ms >= TELL_AGAIN_MS
            ):
                due[fp] = (first_ms, last_ms)
        new = [fp for fp in due if fp not in self.known.kept]
        stored = await self._first_seen(new) if new else {}
        found: list[tuple[object, ...]] = []
        told: dict[int, Seen] = {}
        for fp, (first_ms, last_ms) in due.items():
            series, known = rows.series[fp], self.known.kept.get(fp)
            before = stored.get(fp, first_ms) if known is None else known.first_ms
            told[fp] = Seen(min(first_ms, before), hash(series), last_ms)
            found.append(series_row(series, self._label, told[fp].first_ms, last_ms))
        return found, told

    def _wants(self, series: Series) -> bool:
        """Whether the matchers hold of it; one they do not hold of is remembered."""
        known = hash(series)
        seen = self.known.kept.get(series.fp)
        if seen is not None and seen.description == known:
            return True
        if self.known.refused.get(series.fp) == known:
            return False
        if all_match(self._matchers, labels_of(series)):
            return True
        self.known.refuse(series)
        return False

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
