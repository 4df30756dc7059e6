"""Compiled arithmetic of histograms: differences of cumulative buckets, quantiles, windows.

A quantile is interpolated linearly inside its bucket, so its error is at most that bucket's
width; in the unbounded last bucket it is the lower bound (an underestimate), and the first
bucket is taken to begin at 0 (at its own bound, if that is negative).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.derive import gap_limit, njit
from streams.records.pages import F64, I64

WINDOW_MS = 5_000
"""Buckets of one service are summed over windows of event time of this length."""
CARRY_WINDOWS = 6
"""A quiet service's windows are added up over this many before they are given up."""
MIN_MEAN, MIN_P95, MIN_P99 = 5, 10, 50
"""observations needed for mean and median, for p95, for p99"""
BUSY_SHARE = 0.1
"""weight of the newest interval in a series' usual number of observations"""


class SlotState(NamedTuple):
    """One entry a histogram series."""

    last_ts: I64
    last_dt: I64
    last_sum: F64
    last_rate: F64
    busy: F64
    promoted: npt.NDArray[np.int64]
    """1 once the series has had enough traffic for rows of its own"""
    delta: I64
    offset: I64
    width: I64
    group: I64
    source: I64
    following: I64
    """next member of the group, -1 at the end"""


class GroupState(NamedTuple):
    """One entry a group: the series of one service and metric (and peer) with equal bounds."""

    window: I64
    """number of the open window, -1: none"""
    carry: I64
    """number of the first window in the sums, -1: none"""
    total: F64
    sum: F64
    members: I64
    """series that have had a row"""
    offset: I64
    width: I64
    head: I64


class Memory(NamedTuple):
    """Everything the kernel touches."""

    slots: SlotState
    groups: GroupState
    counts: F64
    """last cumulative buckets of all slots, one after another"""
    sums: F64
    """bucket sums of all groups, one after another"""
    bounds: F64
    """upper bounds, laid out as `sums`; the last of each group is +inf"""
    source_last: I64
    """newest export of each source (service, metric, instance) and the one before"""
    source_prev: I64


class RowResult(NamedTuple):
    """One entry a row."""

    dt: I64
    """ms the row covers; 0 unknown"""
    observed: F64
    """observations in the interval; NaN: no statement"""
    mean: F64
    quantiles: F64
    """[n, 3]: p50, p95, p99"""
    own: I64
    """1: the series had enough traffic for rows of its own"""


class Closed(NamedTuple):
    """One entry a closed window of a group."""

    group: I64
    end: I64
    rate: F64
    observed: F64
    """observations behind mean and quantiles; 0: too few so far"""
    mean: F64
    quantiles: F64


@njit
def quantile(counts: F64, bounds: F64, total: float, q: float) -> float:
    """Value below which the share `q` of the observations lies."""
    target = q * total
    below = 0.0
    for i in range(len(counts)):
        inside = counts[i]
        if inside > 0 and below + inside >= target:
            if i >= len(bounds) - 1:
                return float(bounds[len(bounds) - 2]) if len(bounds) > 1 else np.nan
            high = bounds[i]
            low = bounds[i - 1] if i > 0 else min(0.0, high)
            return float(low + (high - low) * ((target - below) / inside))
        below += inside
    return np.nan


@njit
def _close(g: int, m: Memory, closed: Closed, k: int) -> int:
    """Write the group's open window as entry k and begin anew (or carry on, if it held too little)."""
    groups, slots = m.groups, m.slots
    end = (groups.window[g] + 1) * WINDOW_MS
    rate = 0.0
    s = groups.head[g]
    while s >= 0:
        if slots.last_dt[s] > 0 and end - slots.last_ts[s] <= 2.5 * slots.last_dt[s] + WINDOW_MS:
            rate += slots.last_rate[s]
        s = slots.following[s]
    closed.group[k] = g
    closed.end[k] = end
    closed.rate[k] = rate
    closed.observed[k] = 0.0
    total = groups.total[g]
    start = groups.offset[g]
    stop = start + groups.width[g]
    if total >= MIN_MEAN:
        closed.observed[k] = total
        closed.mean[k] = groups.sum[g] / total
        closed.quantiles[k, 0] = quantile(m.sums[start:stop], m.bounds[start:stop], total, 0.5)
        closed.quantiles[k, 1] = quantile(m.sums[start:stop], m.bounds[start:stop], total, 0.95)
        closed.quantiles[k, 2] = quantile(m.sums[start:stop], m.bounds[start:stop], total, 0.99)
    if total >= MIN_MEAN or groups.window[g] - groups.carry[g] >= CARRY_WINDOWS:
        groups.total[g] = 0.0
        groups.sum[g] = 0.0
        groups.carry[g] = -1
        m.sums[start:stop] = 0.0
    groups.window[g] = -1
    return k + 1


@njit
def absorb(
    slot: I64,
    ts: I64,
    sums: F64,
    start: I64,
    counts: F64,
    m: Memory,
    out: RowResult,
    closed: Closed,
    change: F64,
) -> int:
    """Rows sorted by time into state, `out` and `closed`; returns how many windows closed.

    `start` is where a row's buckets begin in `counts`; `change` is scratch, as wide as the widest.
    """
    slots, groups = m.slots, m.groups
    k = 0
    for i in range(len(slot)):
        s = slot[i]
        width = slots.width[s]
        own = slots.offset[s]
        source = slots.source[s]
        before = slots.last_ts[s]
        if before >= 0 and ts[i] <= before:
            continue
        g = slots.group[s]
        window = (ts[i] - 1) // WINDOW_MS
        # Before the row changes anything: the window's rate must not know what came after it.
        if groups.window[g] >= 0 and groups.window[g] != window:
            k = _close(g, m, closed, k)
        if ts[i] > m.source_last[source]:
            m.source_prev[source] = m.source_last[source]
            m.source_last[source] = ts[i]
        # A label set that appears in a known exporter has counted from zero since the export before.
        newborn = before < 0
        if newborn:
            groups.members[g] += 1
            before = m.source_prev[source]
        dt = ts[i] - before if before >= 0 else 0
        usable = dt > 0 and dt <= gap_limit(slots.last_dt[s])
        restarted = newborn or slots.delta[s] == 1
        if not restarted:
            for b in range(width):
                if counts[start[i] + b] < m.counts[own + b]:
                    restarted = True
        total = 0.0
        for b in range(width):
            now = counts[start[i] + b]
            change[b] = now if restarted else now - m.counts[own + b]
            total += change[b]
            m.counts[own + b] = now
        added = sums[i] if restarted else sums[i] - slots.last_sum[s]
        slots.last_sum[s] = sums[i]
        slots.last_ts[s] = ts[i]
        slots.last_dt[s] = dt
        if not usable and slots.delta[s] == 0:
            continue
        out.observed[i] = total
        out.dt[i] = dt if usable else 0
        slots.last_rate[s] = total * 1000.0 / dt if usable else 0.0
        slots.busy[s] += BUSY_SHARE * (total - slots.busy[s])
        if slots.busy[s] >= MIN_MEAN and groups.members[g] > 1:
            slots.promoted[s] = 1
        out.own[i] = slots.promoted[s]
        first = groups.offset[g]
        if total >= MIN_MEAN:
            out.mean[i] = added / total
            for j in range(3):
                q = 0.5 if j == 0 else (0.95 if j == 1 else 0.99)
                out.quantiles[i, j] = quantile(change[:width], m.bounds[first : first + width], total, q)
        groups.window[g] = window
        if groups.carry[g] < 0 or window - groups.carry[g] > CARRY_WINDOWS:
            groups.carry[g] = window
            groups.total[g] = 0.0
            groups.sum[g] = 0.0
            m.sums[first : first + width] = 0.0
        for b in range(width):
            m.sums[first + b] += change[b]
        groups.total[g] += total
        groups.sum[g] += added
    return k


@njit
def close_due(to_ms: int, m: Memory, closed: Closed, k: int) -> int:
    """Close every window that ends at or before `to_ms`."""
    for g in range(len(m.groups.window)):
        if m.groups.window[g] >= 0 and (m.groups.window[g] + 1) * WINDOW_MS <= to_ms:
            k = _close(g, m, closed, k)
    return k
