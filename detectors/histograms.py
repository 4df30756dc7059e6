"""Histograms become gauges: count rate, mean and quantiles, per service and per busy series.

All series of one service and metric (and peer, for client metrics) with equal bounds form a group;
their buckets are summed over `WINDOW_MS` and the group's figures carry the peer as only label.
A series gets a rate and a p95 of its own when its group has others and it usually sees at least
`MIN_MEAN` observations an export. Intervals with fewer than `MIN_MEAN` observations have a rate only.
"""

from __future__ import annotations

import bisect
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.quantiles import (
    MIN_MEAN,
    MIN_P95,
    MIN_P99,
    Closed,
    GroupState,
    Memory,
    RowResult,
    SlotState,
    absorb,
    close_due,
)
from detectors.ratios import peer_of
from detectors.series import SeriesTable
from streams.records.digest import fingerprint
from streams.records.pages import F64, I64, U64, Kind, Series

FIGURES = (("rate", "1/s"), ("mean", ""), ("p50", ""), ("p95", ""), ("p99", ""))
"""suffix and unit (empty: the histogram's own) of the derived series"""
NEEDED = (0, MIN_MEAN, MIN_MEAN, MIN_P95, MIN_P99)
INSTANCE = ("instance", "service.instance.id", "host.name", "k8s.pod.name")

A = TypeVar("A", bound=npt.NDArray[Any])


class Figures(NamedTuple):
    """Derived rows."""

    fps: U64
    ts: I64
    values: F64


class HistogramState(msgspec.Struct, array_like=True):
    """Snapshot; layout follows from the series, which are restored first."""

    slots: list[bytes]
    groups: list[bytes]
    counts: bytes
    sums: bytes
    sources: list[bytes]


def _enlarged(array: A, n: int, fill: float) -> A:
    if n <= len(array):
        return array
    bigger = np.full(max(16, n, 2 * len(array)), fill, array.dtype)
    bigger[: len(array)] = array
    return bigger  # type: ignore[return-value]


def instance_of(series: Series) -> tuple[str, ...]:
    """Labels that tell one process of a service from another."""
    labels = dict(series.labels)
    return tuple(labels.get(name, "") for name in INSTANCE)


def _fps(series: Series, labels: tuple[tuple[str, str], ...]) -> list[int]:
    return [fingerprint(series.service, f"{series.metric}.{suffix}", labels) for suffix, _ in FIGURES]


def _figure(
    series: Series, i: int, labels: tuple[tuple[str, str], ...], resource: tuple[tuple[str, str], ...]
) -> Series:
    suffix, unit = FIGURES[i]
    metric = f"{series.metric}.{suffix}"
    fp = fingerprint(series.service, metric, labels)
    return Series(fp, series.service, metric, labels, unit or series.unit, Kind.GAUGE, (), resource)


# Fill values of SlotState, GroupState in field order.
_SLOT_FILL = (-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1)
_GROUP_FILL = (-1, -1, 0, 0, 0, 0, 0, -1)
_SLOT_MUTABLE = 6
"""the first fields of SlotState are state, the others layout"""
_GROUP_MUTABLE = 5


class Histograms:
    """State of all histogram series of a shard, bounded by the series table it follows."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.place: dict[int, int] = {}
        """fingerprint to slot"""
        self._groups: dict[tuple[Any, ...], int] = {}
        self._sources: dict[tuple[Any, ...], int] = {}
        self._members: list[list[tuple[int, int]]] = []
        """by group: (fingerprint, slot), sorted"""
        floats = {"last_sum", "last_rate", "busy", "total", "sum"}
        self._m = Memory(
            SlotState._make(np.zeros(0, np.float64 if f in floats else np.int64) for f in SlotState._fields),
            GroupState._make(
                np.zeros(0, np.float64 if f in floats else np.int64) for f in GroupState._fields
            ),
            np.zeros(0),
            np.zeros(0),
            np.zeros(0),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )
        self._counts_used = 0
        self._sums_used = 0
        self._widest = 1
        self._slot_fps: list[list[int]] = []
        self._group_fps: list[list[int]] = []
        self._of_slot: dict[int, tuple[int, int]] = {}
        """fingerprint of a derived series to slot and figure"""
        self._of_group: dict[int, tuple[int, int]] = {}

    def add(self, series: Series) -> None:
        """A histogram not known yet."""
        slot = len(self.series)
        width = len(series.bounds) + 1
        peer = peer_of(series)
        key = (series.service, series.metric, peer, series.bounds)
        if key not in self._groups:
            self._groups[key] = len(self._groups)
            self._group_fps.append(_fps(series, peer))
            self._members.append([])
            self._of_group.update((fp, (self._groups[key], i)) for i, fp in enumerate(self._group_fps[-1]))
        group = self._groups[key]
        source_key = (series.service, series.metric, instance_of(series))
        source = self._sources.setdefault(source_key, len(self._sources))
        m = self._m = self._grown(slot + 1, group + 1, source + 1, width)
        if not self._members[group]:
            m.groups.offset[group] = self._sums_used
            m.groups.width[group] = width
            m.bounds[self._sums_used : self._sums_used + width] = (*series.bounds, np.inf)
            self._sums_used += width
        m.slots.offset[slot] = self._counts_used
        m.slots.width[slot] = width
        m.slots.group[slot] = group
        m.slots.source[slot] = source
        m.slots.delta[slot] = series.kind == Kind.HISTOGRAM_DELTA
        self._link(group, slot, series.fp)
        self._counts_used += width
        self._widest = max(self._widest, width)
        self.series.append(series)
        self.place[series.fp] = slot
        self._slot_fps.append(_fps(series, series.labels))
        self._of_slot.update((fp, (slot, i)) for i, fp in enumerate(self._slot_fps[-1]))

    def derived(self, fp: int, table: SeriesTable, at_ms: int) -> tuple[Series, bool] | None:
        """Description of a derived series as of `at_ms`, and whether it is sparse; None if not ours."""
        if fp in self._of_group:
            group, i = self._of_group[fp]
            members = self._members[group]
            first = self.series[members[0][1]]
            resource = table.common_resource((member for member, _ in members), at_ms)
            # A delta exporter says nothing while nothing happens.
            return _figure(first, i, peer_of(first), resource), i > 0 or first.kind == Kind.HISTOGRAM_DELTA
        if fp in self._of_slot:
            slot, i = self._of_slot[fp]
            series = self.series[slot]
            return _figure(series, i, series.labels, series.resource), True
        return None

    def figures_of(self, series: Series) -> list[int]:
        """Fingerprints of everything derived from a known series, alone or with its group."""
        slot = self.place[series.fp]
        return [*self._slot_fps[slot], *self._group_fps[self._m.slots.group[slot]]]

    def replace(self, series: Series) -> None:
        """A newer description (resource, unit) of a known series."""
        self.series[self.place[series.fp]] = series

    def _link(self, group: int, slot: int, fp: int) -> None:
        """Insert into the group's members, in order of fingerprint: rates are added up in that order,
        so the order in which series became known must not show."""
        m, members = self._m, self._members[group]
        at = bisect.bisect(members, (fp, slot))
        members.insert(at, (fp, slot))
        m.slots.following[slot] = members[at + 1][1] if at + 1 < len(members) else -1
        if at:
            m.slots.following[members[at - 1][1]] = slot
        else:
            m.groups.head[group] = slot

    def _grown(self, slots: int, groups: int, sources: int, width: int) -> Memory:
        m = self._m
        return Memory(
            SlotState._make((_enlarged(a, slots, f) for a, f in zip(m.slots, _SLOT_FILL, strict=True))),
            GroupState._make((_enlarged(a, groups, f) for a, f in zip(m.groups, _GROUP_FILL, strict=True))),
            _enlarged(m.counts, self._counts_used + width, 0),
            _enlarged(m.sums, self._sums_used + width, 0),
            _enlarged(m.bounds, self._sums_used + width, 0),
            _enlarged(m.source_last, sources, -1),
            _enlarged(m.source_prev, sources, -1),
        )

    def derive(
        self, slots: I64, ts: I64, sums: F64, start: I64, counts: F64, to_ms: int
    ) -> tuple[Figures, F64]:
        """Rows sorted by time, the first of each (series, time): derived rows up to `to_ms`, and each
        row's number of observations in its interval (NaN where unknown)."""
        n = len(slots)
        m = self._m
        room = n + len(m.groups.window)
        nans = np.full((n, 3), np.nan)
        out = RowResult(
            np.zeros(n, np.int64), np.full(n, np.nan), np.full(n, np.nan), nans, np.zeros(n, np.int64)
        )
        closed = Closed(
            np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room), np.empty(room),
            np.empty(room), np.empty((room, 3)),
        )  # fmt: skip
        k = absorb(slots, ts, sums, start, counts, m, out, closed, np.zeros(self._widest))
        k = close_due(to_ms, m, closed, k)
        parts = [self._own_rows(slots, ts, out), self._group_rows(closed, k)]
        fps, when, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = np.isfinite(values)
        return Figures(fps[keep], when[keep], values[keep]), out.observed

    def _own_rows(self, slots: I64, ts: I64, out: RowResult) -> tuple[U64, I64, F64]:
        at = np.flatnonzero(out.own)
        dt, count = out.dt[at], out.observed[at]
        rate = np.divide(count * 1000.0, dt, out=np.full(len(at), np.nan), where=dt > 0)
        table = np.array(self._slot_fps, np.uint64).reshape(-1, len(FIGURES))
        # Many label sets slow down together: two figures each, so that they do not drown the service's.
        p95 = out.quantiles[at]
        p95[:, (0, 2)] = np.nan
        return _stack(table[slots[at]], ts[at], count, rate, np.full(len(at), np.nan), p95)

    def _group_rows(self, closed: Closed, k: int) -> tuple[U64, I64, F64]:
        table = np.array(self._group_fps, np.uint64).reshape(-1, len(FIGURES))
        group = closed.group[:k]
        return _stack(
            table[group],
            closed.end[:k],
            closed.observed[:k],
            closed.rate[:k],
            closed.mean[:k],
            closed.quantiles[:k],
        )

    def widths(self, slots: I64) -> I64:
        """Buckets a row of these slots must have."""
        return self._m.slots.width[slots]

    def take_over(self, other: Histograms) -> None:
        """State of `other` for what it knows of the series, groups and sources added here."""
        mine, theirs = self._m, other._m
        for slot, one in enumerate(self.series):
            old = other.place.get(one.fp)
            if old is None or (other.series[old].bounds, other.series[old].kind) != (one.bounds, one.kind):
                continue
            for target, source in zip(mine.slots[:_SLOT_MUTABLE], theirs.slots[:_SLOT_MUTABLE], strict=True):
                target[slot] = source[old]
            at, was, width = mine.slots.offset[slot], theirs.slots.offset[old], len(one.bounds) + 1
            mine.counts[at : at + width] = theirs.counts[was : was + width]
        for key, group in self._groups.items():
            known = other._groups.get(key)
            if known is None:
                continue
            for target, source in zip(
                mine.groups[:_GROUP_MUTABLE], theirs.groups[:_GROUP_MUTABLE], strict=True
            ):
                target[group] = source[known]
            at, was, width = mine.groups.offset[group], theirs.groups.offset[known], mine.groups.width[group]
            mine.sums[at : at + width] = theirs.sums[was : was + width]
        for name, place in self._sources.items():
            if name in other._sources:
                mine.source_last[place] = theirs.source_last[other._sources[name]]
                mine.source_prev[place] = theirs.source_prev[other._sources[name]]

    def export(self) -> HistogramState:
        """State for a snapshot."""
        m, n, g, s = self._m, len(self.series), len(self._groups), len(self._sources)
        return HistogramState(
            [a[:n].tobytes() for a in m.slots[:_SLOT_MUTABLE]],
            [a[:g].tobytes() for a in m.groups[:_GROUP_MUTABLE]],
            m.counts[: self._counts_used].tobytes(),
            m.sums[: self._sums_used].tobytes(),
            [m.source_last[:s].tobytes(), m.source_prev[:s].tobytes()],
        )

    def load(self, state: HistogramState) -> None:
        """Take over what `export` gave, after the same series have been added in the same order."""
        m = self._m
        targets = [*m.slots[:_SLOT_MUTABLE], *m.groups[:_GROUP_MUTABLE], m.counts, m.sums]
        targets += [m.source_last, m.source_prev]
        parts = [*state.slots, *state.groups, state.counts, state.sums, *state.sources]
        for target, raw in zip(targets, parts, strict=True):
            values = np.frombuffer(raw, target.dtype)
            target[: len(values)] = values


def _stack(fps: U64, ts: I64, count: F64, rate: F64, mean: F64, quantiles: F64) -> tuple[U64, I64, F64]:
    """One row a figure that has enough observations behind it."""
    values = np.column_stack([rate, mean, quantiles])
    values[count[:, None] < np.array(NEEDED)] = np.nan
    return fps.ravel(), np.repeat(ts, len(FIGURES)), values.ravel()
