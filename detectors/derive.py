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
        return 3_600_000
    return max(900_000, 5 * last_dt)


@njit
def _rates(
    slots: I64,
    kinds: npt.NDArray[np.uint8],
    ts: I64,
    values: F64,
    last_ts: I64,
    last_dt: I64,
    last_value: F64,
    out: F64,
    delta: F64,
    keep: npt.NDArray[np.bool_],
) -> None:
    """Rows sorted by time. Fills `out` (rate), `delta` (increase) and `keep` (there is a rate)."""
    for i in range(len(slots)):
        kind = kinds[i]
        if kind == 0:
            out[i] = values[i]
            keep[i] = True
            continue
        s = slots[i]
        before = last_ts[s]
        dt = ts[i] - before
        if before >= 0 and dt <= 0:
            continue
        if before >= 0 and dt <= gap_limit(last_dt[s]):
            d = values[i]
            if kind == 1 and d >= last_value[s]:
                d = d - last_value[s]
            delta[i] = d
            out[i] = d * 1000.0 / dt
            keep[i] = True
        last_dt[s] = dt if before >= 0 else 0
        last_ts[s] = ts[i]
        last_value[s] = values[i]


class Rates:
    """Last value of every counter slot, in arrays that follow the series table."""

    def __init__(self) -> None:
        self.last_ts: I64 = np.full(16, NEVER, np.int64)
        self.last_dt: I64 = np.zeros(16, np.int64)
        self.last_value: F64 = np.zeros(16, np.float64)

    def grow(self, slots: int) -> None:
        """Make room for that many slots."""
        while slots > len(self.last_ts):
            n = len(self.last_ts)
            self.last_ts = np.concatenate([self.last_ts, np.full(n, NEVER, np.int64)])
            self.last_dt = np.concatenate([self.last_dt, np.zeros(n, np.int64)])
            self.last_value = np.concatenate([self.last_value, np.zeros(n, np.float64)])

    def derive(
        self, slots: I64, kinds: npt.NDArray[np.uint8], ts: I64, values: F64
    ) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
        """(value or rate, increase or NaN, whether there is one) for rows sorted by time."""
        n = len(slots)
        out = np.zeros(n)
        delta = np.full(n, np.nan)
        keep = np.zeros(n, np.bool_)
        _rates(slots, kinds, ts, values, self.last_ts, self.last_dt, self.last_value, out, delta, keep)
        return out, delta, keep

    def reset(self, slot: int) -> None:
        """The series in this slot starts anew."""
        self.last_ts[slot] = NEVER
        self.last_dt[slot] = 0

    def forget(self, gone: npt.NDArray[np.bool_]) -> None:
        """Follow `SeriesTable.forget`."""
        kept = ~gone
        n = int(kept.sum())
        for name in ("last_ts", "last_dt", "last_value"):
            old = getattr(self, name)
            new = np.full_like(old, NEVER if name == "last_ts" else 0)
            new[:n] = old[: len(gone)][kept]
            setattr(self, name, new)

    def export(self, slots: int) -> tuple[bytes, bytes, bytes]:
        """State of the first `slots` slots."""
        arrays = (self.last_ts, self.last_dt, self.last_value)
        first, second, third = (array[:slots].tobytes() for array in arrays)
        return first, second, third

    def load(self, state: tuple[bytes, bytes, bytes]) -> None:
        """Take over what `export` gave."""
        slots = len(state[0]) // 8
        self.grow(slots)
        self.last_ts[:slots] = np.frombuffer(state[0], np.int64)
        self.last_dt[:slots] = np.frombuffer(state[1], np.int64)
        self.last_value[:slots] = np.frombuffer(state[2], np.float64)
