"""What one shard concludes from rows in event-time order: no pages, offsets or clocks here.

Rows of a run are turned into derived rows in batches (rates, quantiles, log rates), whose results
do not depend on where a run ends; then the bank is fed step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import Bank
from detectors.derive import Rates, rate_series
from detectors.release import Slice, step_ceil
from detectors.series import SeriesTable
from streams.records.pages import F64, I64, U64, Kind, Series


class Rows(NamedTuple):
    """Numeric rows, parallel arrays."""

    fps: U64
    ts: I64
    values: F64


class Decided(NamedTuple):
    """One alert version and the step that decided it."""

    step_end: int
    alert: Alert


class EngineState(msgspec.Struct, array_like=True):
    """Snapshot of an engine."""

    series: list[Series]
    seen: bytes
    rates: tuple[bytes, bytes, bytes]
    bank: bytes
    advanced: int


NO_STEP = -(2**62)


class Engine:
    """Mutable state of one shard's decisions."""

    def __init__(self, config: Detect) -> None:
        self.config = config
        self.table = SeriesTable(config.max_series_per_shard)
        self.rates = Rates()
        self.bank = Bank(config)
        self.counters: dict[str, int] = {"repeated_rows": 0, "undescribed_rows": 0}
        self._advanced = NO_STEP

    def describe(self, series: Series, at_ms: int) -> None:
        """A new series, or a newer description of a known one, effective from `at_ms`."""
        known = self.table.get(series.fp)
        if known == series:
            return
        if known is None:
            slot = self.table.add(series, at_ms)
            if slot < 0:
                return
            self.rates.grow(len(self.table))
        else:
            self.table.replace(series)
            if known.kind != series.kind:
                self.rates.reset(self.table.slots[series.fp])
        if series.kind == Kind.GAUGE:
            self.bank.describe(series)
        elif series.kind in (Kind.COUNTER, Kind.DELTA):
            self.bank.describe(rate_series(series))

    def run(self, numbers: list[Slice], to_ms: int) -> list[Decided]:
        """Decide everything up to the step end `to_ms`, given all rows after the run before."""
        rows = self._numbers(numbers)
        return self._feed(rows, to_ms)

    def sweep(self, at_ms: int) -> None:
        """Forget series without a row for `series_idle_ms` before `at_ms`."""
        gone = self.table.idle(at_ms - self.config.series_idle_ms)
        if gone.any():
            self.rates.forget(gone)
            self.table.forget(gone)

    def _numbers(self, slices: list[Slice]) -> Rows:
        """Sorted by (ts, fp), first of each, counters as rates."""
        if not slices:
            return Rows(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0))
        ts = np.concatenate([s.ts for s in slices])
        fps = np.concatenate([s.columns[0] for s in slices])
        values = np.concatenate([s.columns[1] for s in slices])
        order = np.lexsort((values, fps, ts))
        ts, fps, values = ts[order], fps[order], values[order]
        fresh = np.ones(len(ts), np.bool_)
        fresh[1:] = (ts[1:] != ts[:-1]) | (fps[1:] != fps[:-1])
        if not fresh.all():
            self.counters["repeated_rows"] += int(len(fresh) - fresh.sum())
            ts, fps, values = ts[fresh], fps[fresh], values[fresh]
        slots = self.table.lookup(fps)
        if (slots < 0).any():
            known = slots >= 0
            self.counters["undescribed_rows"] += int(len(known) - known.sum())
            ts, fps, values, slots = ts[known], fps[known], values[known], slots[known]
        self.table.last_seen[slots] = ts
        kinds = self.table.kind[slots]
        if kinds.any():
            values, _, keep = self.rates.derive(slots, kinds, ts, values)
            ts, fps, values = ts[keep], fps[keep], values[keep]
        return Rows(fps, ts, values)

    def _feed(self, rows: Rows, to_ms: int) -> list[Decided]:
        """The bank, step by step; steps without rows or a due time are skipped."""
        decided: list[Decided] = []
        step = self.config.step_ms
        if len(rows.ts):
            ends = -(-rows.ts // step) * step
            starts = np.flatnonzero(np.diff(ends, prepend=ends[0] - step))
            stops = np.append(starts[1:], len(ends))
            for end, a, b in zip(ends[starts].tolist(), starts.tolist(), stops.tolist(), strict=True):
                decided += self._advance_before(end)
                alerts = self.bank.feed(rows.fps[a:b], rows.ts[a:b], rows.values[a:b])
                alerts += self.bank.advance(end)
                self._advanced = end
                decided += [Decided(end, alert) for alert in alerts]
        decided += self._advance_before(to_ms + step)
        return decided

    def _advance_before(self, limit: int) -> list[Decided]:
        """Steps that end before `limit` in which the bank has something to do without rows."""
        decided: list[Decided] = []
        while (due := self.bank.next_due()) is not None:
            end = max(step_ceil(due, self.config.step_ms), self._advanced + self.config.step_ms)
            if end >= limit:
                break
            decided += [Decided(end, alert) for alert in self.bank.advance(end)]
            self._advanced = end
        return decided

    def snapshot(self) -> EngineState:
        series, seen = self.table.export()
        return EngineState(series, seen, self.rates.export(len(series)), self.bank.snapshot(), self._advanced)

    def restore(self, state: EngineState) -> None:
        """Take over a snapshot, into a fresh engine."""
        self.table.load(state.series, state.seen)
        self.rates.load(state.rates)
        self.bank.restore(state.bank)
        self._advanced = state.advanced
