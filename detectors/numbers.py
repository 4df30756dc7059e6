"""Numeric rows of one shard, in event-time order, to the gauge rows the bank is fed.

Gauges pass, counters become rates, histograms their figures, HTTP outcomes error ratios. What
comes out depends on the rows alone, not on how they are cut into runs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.calls import Calls
from detectors.derive import Rates, RatesState, rate_series
from detectors.histograms import Histograms, HistogramState, instance_of
from detectors.objectives import HISTOGRAMS, NUMBERS, Objectives
from detectors.ratios import Ratios, failed, ratio_series
from detectors.release import Slice
from detectors.rules import OWN_SERVICE
from detectors.series import SeriesTable
from streams.records import interned
from streams.records.pages import F64, I64, U64, Kind, Series

EVICT_SHARE = 64
"""when the table is full, one in so many series is forgotten"""
_HISTOGRAMS = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA)


class Rows(NamedTuple):
    """Numeric rows, parallel arrays."""

    fps: U64
    ts: I64
    values: F64


class NumbersState(msgspec.Struct, array_like=True):
    """Snapshot."""

    series: list[Series]
    last_seen: bytes
    first_seen: bytes
    rates: RatesState
    histograms: HistogramState
    ratios: list[dict[int, tuple[int, int, float, float]]]


class Numbers:
    """Series table and everything derived from numeric rows."""

    def __init__(self, limit: int, objectives: Objectives | None = None, calls: Calls | None = None) -> None:
        self.objectives = objectives or Objectives(())
        self.calls = Calls() if calls is None else calls
        self.table = SeriesTable(limit)
        self.counters: dict[str, int] = dict.fromkeys(
            ("repeated_rows", "undescribed_rows", "mismatched_rows", "evicted_series"), 0
        )
        self._clear()

    def _clear(self) -> None:
        self._rates = Rates()
        self._histograms = Histograms()
        self._of_histograms = Ratios()
        self._of_counters = Ratios()
        self._ratio: list[int] = []
        """by slot: place of the ratio it contributes to, or -1"""
        self._bad: list[bool] = []
        """by slot: whether what it counts has failed"""
        self._role: list[int] = []
        """by slot: what it means to the objectives"""
        self._call: list[int] = []
        """by slot: what it says of calls between services, or -1"""
        self._call_of: I64 = np.empty(0, np.int64)
        """the same as an array, as far as it has been asked for"""
        self.objectives.begin()
        self.calls.begin()
        self._ratio_of: dict[int, tuple[Series, list[int]]] = {}
        """fingerprint of a ratio to the ratio and the series it is made of"""

    def describe(self, series: Series, at_ms: int) -> list[int]:
        """A new series, or a newer description of a known one.

        Returns the fingerprints of gauge rows whose description this changes.
        """
        known = self.table.get(series.fp)
        if known == series:
            return []
        if known is None:
            if self.table.full():
                self._evict()
            self.table.add(series, at_ms)
            self._add(series, at_ms)
            return []
        self.table.replace(series)
        self._role[self.table.slots[series.fp]] = self.objectives.role(series, at_ms)
        if (known.kind, known.bounds) != (series.kind, series.bounds):
            self._rebuild(np.arange(len(self.table)))
            self._rates.reset(self.table.slots[series.fp])
        elif series.kind in _HISTOGRAMS:
            self._histograms.replace(series)
        changed = [series.fp]
        if series.kind in _HISTOGRAMS:
            changed = self._histograms.figures_of(series)
        ratio = ratio_series(series)
        return [*changed, ratio.fp] if ratio else changed

    def _add(self, series: Series, at_ms: int) -> None:
        self._role.append(self.objectives.role(series, at_ms))
        ratio = ratio_series(series)
        is_histogram = series.kind in _HISTOGRAMS
        source = (series.service, series.metric, *instance_of(series)) if ratio and not is_histogram else None
        self._rates.add(source)
        self._bad.append(failed(series))
        self._call.append(self.calls.add(series))
        if ratio is None:
            self._ratio.append(-1)
        else:
            self._ratio.append((self._of_histograms if is_histogram else self._of_counters).add(ratio))
            self._ratio_of.setdefault(ratio.fp, (ratio, []))[1].append(series.fp)
        if is_histogram:
            self._histograms.add(series)

    def gauge(self, fp: int, at_ms: int) -> tuple[Series, bool] | None:
        """Description, as of `at_ms`, of a series that `run` gives rows of, and whether it is sparse:
        its rows may honestly be missing. None for a fingerprint that is not ours."""
        series = self.table.get(fp)
        if series is not None and series.kind == Kind.GAUGE:
            # What we say of ourselves stops when there is nothing more to say.
            return series, series.service == OWN_SERVICE
        if series is not None and series.kind in (Kind.COUNTER, Kind.DELTA):
            # A delta exporter says nothing while nothing happens.
            return rate_series(series), series.kind == Kind.DELTA
        if fp in self._ratio_of:
            ratio, members = self._ratio_of[fp]
            resource = self.table.common_resource(members, at_ms)
            return msgspec.structs.replace(ratio, resource=resource), True
        return self._histograms.derived(fp, self.table, at_ms)

    def run(self, numbers: list[Slice], histograms: list[Slice], to_ms: int) -> tuple[Rows, I64, I64]:
        """All rows after the run before, up to `to_ms`.

        Returns gauge rows sorted by (ts, fp), and the time and service (number in the series table)
        of every raw row.
        """
        plain, raw_slots, raw_ts, ratio_parts = self._plain(numbers, to_ms)
        parts = [plain, *ratio_parts]
        hist_slots, hist_ts = np.empty(0, np.int64), np.empty(0, np.int64)
        if len(self._histograms.series):
            more, hist_slots, hist_ts = self._figures(histograms, to_ms)
            parts += more
        elif histograms:
            self.counters["undescribed_rows"] += sum(len(s.ts) for s in histograms)
        service = self.table.service
        times = np.concatenate([raw_ts, hist_ts]) if len(hist_ts) else raw_ts
        owners = service[np.concatenate([raw_slots, hist_slots])] if len(hist_ts) else service[raw_slots]
        return merged(parts), times, owners

    def _plain(self, slices: list[Slice], to_ms: int) -> tuple[Rows, I64, I64, list[Rows]]:
        """Gauges and counters."""
        ts = _joined([s.ts for s in slices], np.int64)
        fps = _joined([s.columns[0] for s in slices], np.uint64)
        values = _joined([s.columns[1] for s in slices], np.float64)
        order = np.lexsort((values, fps, ts))
        ts, fps, values = ts[order], fps[order], values[order]
        fresh = self._first(ts, fps)
        if not fresh.all():
            ts, fps, values = ts[fresh], fps[fresh], values[fresh]
        slots = self.table.lookup(fps)
        kinds = self.table.kind[slots]
        good = (slots >= 0) & (kinds < Kind.HISTOGRAM)
        if not good.all():
            self._count_unusable(slots, good)
            ts, fps, values, slots, kinds = ts[good], fps[good], values[good], slots[good], kinds[good]
        self.table.saw(slots, ts)
        raw_slots, raw_ts = slots, ts
        ratios: list[Rows] = []
        counted = len(self._of_counters.fps)
        if counted or kinds.any():
            values, delta, keep = self._rates.derive(slots, kinds, ts, values)
            if counted:
                ratios.append(self._count(self._of_counters, slots, ts, delta, to_ms))
            if self.objectives:
                amounts = np.where(kinds == Kind.GAUGE, values, delta)
                self.objectives.count(NUMBERS, ts, self._roles(slots), amounts)
            if self.calls:
                self.calls.count(self._called(slots), ts, np.where(kinds == Kind.GAUGE, values, delta))
            ts, fps, values = ts[keep], fps[keep], values[keep]
        else:
            if self.objectives:
                self.objectives.count(NUMBERS, ts, self._roles(slots), values)
            if self.calls:
                self.calls.count(self._called(slots), ts, values)
        return Rows(fps, ts, values), raw_slots, raw_ts, ratios

    def _figures(self, slices: list[Slice], to_ms: int) -> tuple[list[Rows], I64, I64]:
        """Histograms."""
        ts = _joined([s.ts for s in slices], np.int64)
        fps = _joined([s.columns[0] for s in slices], np.uint64)
        sums = _joined([s.columns[1] for s in slices], np.float64)
        widths = _joined([s.columns[3] for s in slices], np.int64)
        counts = _joined([_buckets(s) for s in slices], np.float64)
        starts = np.cumsum(widths) - widths
        totals = np.add.reduceat(counts, starts) if len(starts) else np.empty(0)
        order = np.lexsort((sums, totals, fps, ts))
        order = order[self._first(ts[order], fps[order])]
        ts, fps, sums, widths, starts = (a[order] for a in (ts, fps, sums, widths, starts))
        place = self._histograms.place
        slots = np.array([place.get(fp, -1) for fp in fps.tolist()], np.int64)
        good = slots >= 0
        good[good] = self._histograms.widths(slots[good]) == widths[good]
        if not good.all():
            self._count_unusable(slots, good)
            ts, fps, sums, starts, slots = ts[good], fps[good], sums[good], starts[good], slots[good]
        table_slots = self.table.lookup(fps)
        self.table.saw(table_slots, ts)
        figures, observed = self._histograms.derive(slots, ts, sums, starts, counts, to_ms)
        rows = [Rows(*figures)]
        if self.objectives:
            roles = self._roles(table_slots)
            self.objectives.count(HISTOGRAMS, ts, roles, observed)
            self._slow(ts, roles, table_slots, observed, starts, counts)
        if self.calls:
            self.calls.count(self._called(table_slots), ts, observed)
        if len(self._of_histograms.fps):
            rows.append(self._count(self._of_histograms, table_slots, ts, observed, to_ms))
        return rows, table_slots, ts

    def _roles(self, slots: I64) -> I64:
        return np.array(self._role, np.int64)[slots]

    def _called(self, slots: I64) -> I64:
        if len(self._call_of) != len(self._call):
            self._call_of = np.array(self._call, np.int64)
        return self._call_of[slots]

    def _slow(self, ts: I64, roles: I64, slots: I64, observed: F64, starts: I64, counts: F64) -> None:
        """Observations above the limits of objectives."""
        at = np.flatnonzero(self.objectives.slow_roles(roles))
        series = [self.table.series[slot] for slot in slots[at].tolist()]
        buckets = [
            counts[start : start + len(one.bounds) + 1]
            for start, one in zip(starts[at].tolist(), series, strict=True)
        ]
        self.objectives.count_slow(series, ts[at], roles[at], observed[at], buckets)

    def common_resource(self, place: int, at_ms: int) -> tuple[tuple[str, str], ...]:
        """What the resources of the series behind a budget have in common, as of a time."""
        behind = (
            series.fp
            for series, role in zip(self.table.series, self._role, strict=True)
            if self.objectives.adds_to(role, place)
        )
        return self.table.common_resource(behind, at_ms)

    def _count(self, ratios: Ratios, slots: I64, ts: I64, added: F64, to_ms: int) -> Rows:
        places = np.array(self._ratio, np.int64)[slots]
        bad = np.array(self._bad, np.bool_)[slots]
        return Rows(*ratios.count(places, bad, ts, added, to_ms))

    def _first(self, ts: I64, fps: U64) -> npt.NDArray[np.bool_]:
        """First row of each (ts, fp), of sorted rows; the others are counted."""
        fresh = np.ones(len(ts), np.bool_)
        fresh[1:] = (ts[1:] != ts[:-1]) | (fps[1:] != fps[:-1])
        self.counters["repeated_rows"] += len(fresh) - int(np.count_nonzero(fresh))
        return fresh

    def _count_unusable(self, slots: I64, good: npt.NDArray[np.bool_]) -> None:
        unknown = int(np.count_nonzero(slots < 0))
        self.counters["undescribed_rows"] += unknown
        self.counters["mismatched_rows"] += int(np.count_nonzero(~good)) - unknown

    def _evict(self) -> None:
        """Room for more: the least recently seen series go, some at once because it is laborious."""
        gone = self.table.oldest(EVICT_SHARE)
        self.counters["evicted_series"] += int(gone.sum())
        self.forget(gone)

    def sweep(self, before_ms: int) -> None:
        """Forget series without a row since `before_ms`."""
        gone = self.table.idle(before_ms)
        if gone.any():
            self.forget(gone)

    def forget(self, gone: npt.NDArray[np.bool_]) -> None:
        """Forget the series in these slots."""
        self.table.forget(gone)
        self._rebuild(np.flatnonzero(~gone))

    def _rebuild(self, kept: I64) -> None:
        """Lay everything out anew for the table's series, which were the slots `kept` before."""
        rates, histograms = self._rates, self._histograms
        ratios = (self._of_histograms.export(), self._of_counters.export())
        self._clear()
        for series, at_ms in zip(self.table.series, self.table.last_seen.tolist(), strict=False):
            self._add(series, at_ms)
        self._rates.take_over(rates, kept)
        self._histograms.take_over(histograms)
        self._of_histograms.load(ratios[0])
        self._of_counters.load(ratios[1])

    def export(self) -> NumbersState:
        """State for a snapshot."""
        series, last, first = self.table.export()
        ratios = [self._of_histograms.export(), self._of_counters.export()]
        return NumbersState(series, last, first, self._rates.export(), self._histograms.export(), ratios)

    def load(self, state: NumbersState) -> None:
        """Take over what `export` gave, into a fresh object."""
        self.table.load([interned.series(one) for one in state.series], state.last_seen, state.first_seen)
        for series, at_ms in zip(self.table.series, self.table.last_seen.tolist(), strict=False):
            self._add(series, at_ms)
        self._rates.load(state.rates)
        self._histograms.load(state.histograms)
        self._of_histograms.load(state.ratios[0])
        self._of_counters.load(state.ratios[1])


def merged(parts: list[Rows]) -> Rows:
    """Rows of several origins sorted by (ts, fp); the first part is sorted already."""
    rest = [part for part in parts[1:] if len(part.ts)]
    if not rest:
        return parts[0]
    fps = np.concatenate([parts[0].fps, *(p.fps for p in rest)])
    ts = np.concatenate([parts[0].ts, *(p.ts for p in rest)])
    values = np.concatenate([parts[0].values, *(p.values for p in rest)])
    order = np.lexsort((fps, ts))
    return Rows(fps[order], ts[order], values[order])


def _joined(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    if not parts:
        return np.empty(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _buckets(s: Slice) -> F64:
    """Bucket counts of a slice's rows, one row after another."""
    starts, widths = s.columns[2], s.columns[3]
    ends = np.cumsum(widths)
    index = np.repeat(starts - (ends - widths), widths) + np.arange(int(ends[-1]) if len(ends) else 0)
    counts: F64 = s.extra[index]
    return counts
