"""Writes samples as they were judged to ClickHouse: blocks of numbers as they come, a stage of its own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from config.settings import History, Settings, Topics
from sinks.clickhouse import ClickHouseSink
from sinks.handler import letter_of
from sinks.protocol import SinkUnavailable
from streams.records.history import ROW, Described, decode_history
from streams.records.stage import Record

log = logging.getLogger(__name__)
COLUMNS = tuple(ROW.names or ())
SERIES = ("fp", "service", "metric", "unit", "labels", "resource", "domain", "seen_at")


class HistoryHandler:
    """What the shell calls, see `streams.agents.sinkrunner`. Writing the same records again is harmless."""

    retryable: tuple[type[Exception], ...] = (SinkUnavailable,)

    def __init__(self, topics: Topics, history: History, sink: ClickHouseSink) -> None:
        self._topics = topics
        self._history = history
        self._sink = sink
        self._counts: Counter[str] = Counter()

    @property
    def topics(self) -> tuple[str, ...]:
        return (self._topics.history,)

    @property
    def counts(self) -> Mapping[str, int]:
        """Records so far: `written` and `refused:<reason>`."""
        return dict(self._counts)

    async def start(self) -> None:
        """Raises `SinkUnavailable` or `SinkMisconfigured`."""
        await self._sink.start()
        days = int(self._history.days)
        await self._sink.command(f"ALTER TABLE samples MODIFY TTL toDateTime(ts) + INTERVAL {days} DAY")

    async def stop(self) -> None:
        await self._sink.stop()

    async def write(self, records: Sequence[Record]) -> None:
        """Return when every record is safe: written, or in the dead letters."""
        blocks: list[bytes] = []
        series: dict[int, Described] = {}
        letters = []
        for record in records:
            try:
                page = decode_history(record.value or b"")
            except (msgspec.DecodeError, ValueError) as error:
                letters.append(letter_of(record, "bad-page", f"no samples of this version: {error}"))
                continue
            blocks.append(page.rows)
            series.update((one.fp, one) for one in page.series)
        if series:
            await self._sink.insert_rows("series", SERIES, [_row(one) for one in series.values()])
        block = b"".join(blocks)
        if block:
            await self._sink.insert_block("samples", COLUMNS, block)
        if letters:
            refused = await self._sink.write(letters)
            for refusal in refused:
                log.error("dead letter refused: %s %s", refusal.delivery.origin, refusal.detail)
        # Only now: a batch that is tried again must not be counted twice.
        self._counts["written"] += len(records) - len(letters)
        if letters:
            self._counts["refused:bad-page"] += len(letters)


def _row(one: Described) -> tuple[object, ...]:
    return (
        one.fp, one.service, one.metric, one.unit, dict(one.labels), dict(one.resource), one.domain,
        one.seen_at,
    )  # fmt: skip


def history_handler(settings: Settings) -> HistoryHandler:
    """The handler of the history stage as configured."""
    sink = ClickHouseSink(settings.clickhouse, patience_s=2.0)
    return HistoryHandler(settings.topics, settings.history, sink)
