"""Counters become rates: cumulative or delta values to change per second, resets handled.

A counter's rate keeps the counter's fingerprint and name; its unit becomes "<unit>/s" ("1/s" for
plain counts). A cumulative value that decreases has restarted from zero. No rate is made over
too long a gap: one hour for a series' first interval, afterwards the larger of 15 minutes and
five times the interval before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from streams.records.pages import F64, I64, Kind, Series

F = TypeVar("F", bound=Callable[..., Any])

FIRST_GAP_MS = 3_600_000
MIN_GAP_MS = 900_000
GAP_INTERVALS = 5
NEVER = -1
GAUGE = int(Kind.GAUGE)
COUNTER = int(Kind.COUNTER)


def njit(function: F) -> F:
    """Compiled, cached, with exact IEEE arithmetic so that results do not depend on batching."""
    return cast(F, numba.njit(cache=True)(function))


def rate_unit(unit: str) -> str:
    """Unit of the change per second of something counted in `unit`."""
    return f"{unit.strip('{}')}/s" if unit and unit != "1" else "1/s"


def rate_series(series: Series) -> Series:
    """The gauge that a counter's rate is."""
    return msgspec.structs.replace(series, unit=rate_unit(series.unit), kind=Kind.GAUGE, bounds=())


@njit
def gap_limit(last_dt: int) -> int:
    """Longest interval, ms, over which a rate still says something."""
    if last_dt <= 0:
        return FIRST_GAP_MS
    return max(MIN_GAP_MS, GAP_INTERVALS * last_dt)


@njit
def _rates(
    slots: I64,
    kinds: npt.NDArray[np.uint8],
    ts: I64,
    values: F64,
    last_ts: I64,
    last_dt: I64,
    last_value: F64,
    source: I64,
    source_last: I64,
    source_prev: I64,
    out: F64,
    delta: F64,
    keep: npt.NDArray[np.bool_],
) -> None:
    """Rows sorted by time. Fills `out` (rate), `delta` (increase) and `keep` (there is a rate)."""
    for i in range(len(slots)):
        kind = kinds[i]
        if kind == GAUGE:
            out[i] = values[i]
            keep[i] = True
            continue
        s = slots[i]
        before = last_ts[s]
        if before >= 0 and ts[i] <= before:
            continue
        newborn = before < 0
        if source[s] >= 0:
            # A label set that appears in a known exporter has counted from zero since the export before.
            o = source[s]
            if ts[i] > source_last[o]:
                source_prev[o] = source_last[o]
                source_last[o] = ts[i]
            if newborn:
                before = source_prev[o]
        dt = ts[i] - before
        if before >= 0 and dt <= gap_limit(last_dt[s]):
            d = values[i]
            if kind == COUNTER and not newborn and d >= last_value[s]:
                d = d - last_value[s]
            delta[i] = d
            out[i] = d * 1000.0 / dt
            keep[i] = True
        last_dt[s] = dt if before >= 0 else 0
        last_ts[s] = ts[i]
        last_value[s] = values[i]


class RatesState(msgspec.Struct, array_like=True):
    """Snapshot; the sources follow from the series."""

    last_ts: bytes
    last_dt: bytes
    last_value: bytes
    source_last: bytes
    source_prev: bytes


class Rates:
    """Last value of every slot, in arrays that follow the series table."""

    def __init__(self) -> None:
        self.slots = 0
        self.last_ts: I64 = np.full(16, NEVER, np.int64)
        self.last_dt: I64 = np.zeros(16, np.int64)
        self.last_value: F64 = np.zeros(16, np.float64)
        self.source: I64 = np.full(16, NEVER, np.int64)
        self.sources: dict[tuple[str, ...], int] = {}
        """exporters of which a new label set is known to have begun at zero; at most one a series"""
        self.source_last: I64 = np.full(16, NEVER, np.int64)
        self.source_prev: I64 = np.full(16, NEVER, np.int64)

    def add(self, source: tuple[str, ...] | None = None) -> None:
        """Room for one more slot; `source` names the exporter if its label sets begin at zero."""
        if self.slots >= len(self.last_ts):
            for name, fill in (("last_ts", NEVER), ("last_dt", 0), ("last_value", 0), ("source", NEVER)):
                setattr(self, name, _doubled(getattr(self, name), fill))
        if source is not None:
            index = self.sources.setdefault(source, len(self.sources))
            if index >= len(self.source_last):
                self.source_last = _doubled(self.source_last, NEVER)
                self.source_prev = _doubled(self.source_prev, NEVER)
            self.source[self.slots] = index
        self.slots += 1

    def derive(
        self, slots: I64, kinds: npt.NDArray[np.uint8], ts: I64, values: F64
    ) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
        """(value or rate, increase or NaN, whether there is one) for rows sorted by time."""
        n = len(slots)
        out = np.zeros(n)
        delta = np.full(n, np.nan)
        keep = np.zeros(n, np.bool_)
        memory = (
            self.last_ts,
            self.last_dt,
            self.last_value,
            self.source,
            self.source_last,
            self.source_prev,
        )
        _rates(slots, kinds, ts, values, *memory, out, delta, keep)
        return out, delta, keep

    def reset(self, slot: int) -> None:
        """The series in this slot starts anew."""
        self.last_ts[slot] = NEVER
        self.last_dt[slot] = 0

    def take_over(self, old: Rates, kept: I64) -> None:
        """State of `old`, whose slots `kept` are this one's, in order."""
        for name in ("last_ts", "last_dt", "last_value"):
            getattr(self, name)[: len(kept)] = getattr(old, name)[kept]
        for key, index in self.sources.items():
            if key in old.sources:
                self.source_last[index] = old.source_last[old.sources[key]]
                self.source_prev[index] = old.source_prev[old.sources[key]]

    def export(self) -> RatesState:
        """State for a snapshot."""
        n, s = self.slots, len(self.sources)
        return RatesState(
            self.last_ts[:n].tobytes(),
            self.last_dt[:n].tobytes(),
            self.last_value[:n].tobytes(),
            self.source_last[:s].tobytes(),
            self.source_prev[:s].tobytes(),
        )

    def load(self, state: RatesState) -> None:
        """Take over what `export` gave, after the same slots have been added."""
        for name in ("last_ts", "last_dt", "last_value", "source_last", "source_prev"):
            target = getattr(self, name)
            values = np.frombuffer(getattr(state, name), target.dtype)
            target[: len(values)] = values


def _doubled(array: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
    return np.concatenate([array, np.full(len(array), fill, array.dtype)])
