"""The detect stage: pages of one shard in, alerts and the shard's watermark out.

The core's state is a function of its partition of the pages topic alone (docs/determinism.md).
Rows are held back until the shard's watermark has passed them, at most about `MAX_HELD_BYTES`;
beyond that the oldest steps are decided ahead of the watermark (counted in `forced_releases`),
and rows that still come for them are late: dropped and counted, never silently.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import cramjam
import msgspec
import numpy as np

from config.settings import Settings
from detectors.alert import Alert
from detectors.engine import Decided, Engine, EngineState
from detectors.held import Held, PageRows, rows_of
from detectors.release import step_ceil, step_floor
from detectors.selfview import shard_telemetry
from streams.records import interned
from streams.records.digest import shard_of
from streams.records.messages import DeadLetter, Edges, ShardWatermark
from streams.records.pages import I64, NO_WATERMARK, U64, Page, Series, SourceState, decode_page
from streams.records.stage import Output, PartitionCore, Record
from streams.records.telemetry import CoreTelemetry
from streams.records.watermark import SourceClock

MAX_HELD_BYTES = 512 * 1024 * 1024
NOTHING = -(2**62)
"""`released` before anything is"""


class ShardState(msgspec.Struct, array_like=True):
    """Snapshot of a core, without the rows it holds back."""

    format: int
    released: int
    next_offset: int
    clock: SourceClock
    engine: EngineState


FORMAT = 2


class ShardCore:
    """One shard. `counters` are totals since the core was made, for telemetry about ourselves."""

    def __init__(self, settings: Settings, shard: int) -> None:
        self.settings = settings
        self.shard = shard
        self.engine = Engine(settings.detect, settings.ingest.max_series_per_service, settings.logs)
        self.clock = SourceClock(sources={})
        self.held = Held()
        self.released = NOTHING
        """everything up to and including this step end is decided, ms"""
        self.counters: dict[str, int] = {
            "bad_pages": 0, "late_rows": 0, "forced_releases": 0, "rows": 0,
            "samples": 0, "histograms": 0, "logs": 0, "spans": 0,
        }  # fmt: skip
        self._barrier = NOTHING
        self._announced = NOTHING
        self._seen_offset = 0
        self._pending: list[tuple[int, int, Series]] = []
        """heap of (effective from, fingerprint, description); equal ones in the order of their fields"""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        """Absorb pages; returns alerts, edges and, last, how far this shard has decided."""
        outputs: list[Output] = []
        for record in records:
            try:
                page = decode_page(record.value or b"")
                rows = rows_of(page)
            except (msgspec.DecodeError, ValueError) as error:
                outputs.append(self._bad_page(record, error))
                continue
            if page.series and self.engine.admission.crowds(page.series):
                outputs += self._release(self._barrier)
            outputs += self._absorb(page, rows, record.offset)
            if self.held.held_bytes() > MAX_HELD_BYTES:
                outputs += self._release(self._barrier)
                if self.held.held_bytes() > MAX_HELD_BYTES:
                    outputs += self._force()
        outputs += self._release(self._barrier)
        if self.released > self._announced:
            self._announced = self.released
            mark = ShardWatermark(self.shard, self.settings.ingest.shards, self.released)
            outputs += self._to_all(msgspec.json.encode(mark))
        return outputs

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        """Nothing: the wall clock decides nothing here."""
        return ()

    def needed_offset(self, next_offset: int) -> int:
        """The oldest page that still has rows held back, or `next_offset`."""
        oldest = self.held.oldest_offset()
        return next_offset if oldest is None else oldest

    def snapshot(self) -> bytes | None:
        """State without the rows held back: those are read again."""
        state = ShardState(FORMAT, self.released, self._seen_offset, self.clock, self.engine.snapshot())
        return bytes(cramjam.zstd.compress(msgspec.msgpack.encode(state), level=1))

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot. Raises `msgspec.ValidationError` for one of another format."""
        state = msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(blob)), type=ShardState)
        if state.format != FORMAT:
            raise msgspec.ValidationError(f"shard snapshot of format {state.format}, expected {FORMAT}")
        settings = self.settings
        self.engine = Engine(settings.detect, settings.ingest.max_series_per_service, settings.logs)
        self.engine.restore(state.engine)
        self.clock = state.clock
        self.held = Held()
        self.released = self._barrier = state.released
        self._announced = NOTHING
        self._seen_offset = state.next_offset
        self._pending = []

    def telemetry(self) -> CoreTelemetry:
        """See `streams.records.telemetry`."""
        return shard_telemetry(self.counters, self.engine, self.held.rows(), self.clock.watermark)

    # absorbing

    def _absorb(self, page: Page, rows: PageRows, offset: int) -> list[Output]:
        outputs: list[Output] = []
        # The page's watermark speaks of what follows it, so its own rows are judged by the one before.
        if page.series:
            outputs = self._describe(page.series, *rows.described(), again=offset < self._seen_offset)
        self._count(rows)
        self.counters["late_rows"] += self.held.add(rows, self._barrier, offset)
        if offset < self._seen_offset:
            return outputs  # read again after a restore: the clock has heard this page already
        self._seen_offset = offset + 1
        self.clock.observe(
            page.source, page.watermark, page.state, page.epoch, page.sources, page.peers or None
        )
        self._barrier = max(self._barrier, self._decidable())
        return outputs

    def _count(self, rows: PageRows) -> None:
        for kind, part in zip(("samples", "histograms", "logs", "spans"), rows, strict=True):
            if part is not None:
                self.counters[kind] += len(part.ts)
                self.counters["rows"] += len(part.ts)

    def _decidable(self) -> int:
        """End of the last step that no source can add a row to any more."""
        mark = self.clock.watermark
        if mark == NO_WATERMARK:
            return NOTHING
        states = {source.state for source in self.clock.sources.values()}
        step = self.settings.detect.step_ms
        if SourceState.ENDED in states and SourceState.ACTIVE not in states:
            return step_ceil(mark, step)
        return step_floor(mark, step)

    def _describe(self, series: list[Series], fps: U64, ts: I64, again: bool) -> list[Output]:
        """Descriptions take effect at their first row in the page, in event time.

        A series not seen before is expected from the step of that row on; which of several differing
        descriptions holds, and whether there is room for it, is decided by event time alone. One whose
        first row is late, or missing, has its place decided now, unless the page is read `again`.
        """
        order = np.lexsort((ts, fps))
        sorted_fps = fps[order]
        wanted = np.array([one.fp for one in series], np.uint64)
        at = np.minimum(np.searchsorted(sorted_fps, wanted), max(len(order) - 1, 0))
        first = np.full(len(series), NOTHING)
        if len(order):
            first = np.where(sorted_fps[at] == wanted, ts[order[at]], NOTHING)
        late = first <= self._barrier
        # In the order of event time, what is due comes before what is decided now.
        outputs = self._release(self._barrier) if late.any() and not again else []
        for one, row_ms, is_late in zip(series, first.tolist(), late.tolist(), strict=True):
            known = self.engine.known(one.fp)
            # All series of a shard may wait at once: a page's own texts would take kilobytes each.
            kept = known if known == one else interned.series(one)
            if is_late:
                if not again and known is None:
                    self.engine.admit(kept, max(self._barrier, 0))
                continue
            if known is None or self.engine.expected(one.fp):
                after = max(self._barrier, step_floor(row_ms - 1, self.settings.detect.step_ms))
                if not self.engine.expect(kept, after, row_ms):
                    continue
            heapq.heappush(self._pending, (row_ms, kept.fp, kept))
        return outputs

    # releasing

    def _release(self, to_ms: int) -> list[Output]:
        """Decide all steps up to `to_ms`, pausing where a description changes or idle series go."""
        if to_ms <= self.released:
            return []
        step = self.settings.detect.step_ms
        if self.released == NOTHING:
            oldest = self.held.oldest_ts()
            self.released = to_ms if oldest is None else min(to_ms, step_floor(oldest - 1, step))
        decided: list[Decided] = []
        while self._pending and self._pending[0][0] <= to_ms:
            at, _, series = heapq.heappop(self._pending)
            before = step_floor(at - 1, step)
            # While anything waits, or where idle series go, series may come and go before `at`: only
            # then is it clear what holds.
            if (
                self.engine.admission.waiting
                or before >= self._sweep_after(self.released)
                or self.engine.known(series.fp) != series
            ):
                decided += self._run_to(before)
                self.engine.describe_due(series, self.released, at)
        decided += self._run_to(to_ms)
        decided.sort(key=Decided.order)
        outputs: list[Output] = []
        for one in decided:
            if isinstance(one.what, Alert):
                outputs.append(self._alert(one.what))
            else:
                outputs += self._to_all(msgspec.json.encode(Edges(self.shard, *one.what)))
        return outputs

    def _run_to(self, to_ms: int) -> list[Decided]:
        decided: list[Decided] = []
        while self.released < to_ms:
            sweep_at = self._sweep_after(self.released)
            target = min(to_ms, sweep_at)
            target = min(target, self._pause(target))
            decided += self.engine.run(self.held.take(target), target)
            self.released = target
            if target == sweep_at:
                self.engine.sweep(target)
        return decided

    def _sweep_after(self, ms: int) -> int:
        """The next step end after `ms` at which idle series are forgotten."""
        every = max(60_000, self.settings.detect.series_idle_ms // 16)
        return step_ceil(step_ceil(ms + 1, every), self.settings.detect.step_ms)

    def _pause(self, to_ms: int) -> int:
        """Where a run has to end so that the series limits do not depend on where it ends."""
        step = self.settings.detect.step_ms
        if self.engine.admission.refused:
            to_ms = min(to_ms, step_ceil(self.engine.admission.window_after(self.released), step))
        oldest = self.held.oldest_ts() if self.engine.crowded() else None
        return to_ms if oldest is None else min(to_ms, step_ceil(oldest, step))

    def _force(self) -> list[Output]:
        """Too much is held back: decide the older half of it now."""
        middle = self.held.middle_ts()
        self._barrier = max(self._barrier, step_ceil(middle, self.settings.detect.step_ms))
        self.counters["forced_releases"] += 1
        return self._release(self._barrier)

    # output

    def _alert(self, alert: Alert) -> Output:
        correlate = self.settings.correlate
        domain = dict(alert.resource).get(correlate.domain_label, "") if correlate.domain_label else ""
        partition = shard_of(domain, correlate.partitions) if domain else 0
        return Output(
            self.settings.topics.alerts, msgspec.json.encode(alert), alert.fingerprint.encode(), partition
        )

    def _to_all(self, value: bytes) -> list[Output]:
        """To every correlation domain."""
        key = str(self.shard).encode()
        return [
            Output(self.settings.topics.alerts, value, key, partition)
            for partition in range(self.settings.correlate.partitions)
        ]

    def _bad_page(self, record: Record, error: Exception) -> Output:
        self.counters["bad_pages"] += 1
        letter = DeadLetter(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms,
            "bad-page",
            f"not a page of this version: {error}",
            record.value,
            record.key,
            record.headers,
        )
        return Output(self.settings.topics.deadletters, msgspec.json.encode(letter), record.key)


def shard_factory(settings: Settings) -> Callable[[str, int], PartitionCore]:
    """Cores of the detect stage; the partition of the pages topic is the shard."""

    def make(topic: str, partition: int) -> PartitionCore:
        return ShardCore(settings, partition)

    return make
