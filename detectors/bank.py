"""The bank: one detector state per series, fed row by row in event-time order.

Skeleton with the final interface and a plain level; the compiled bank replaces the inside.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from config.settings import Detect
from detectors.alert import Alert, alert_id
from streams.records.pages import F64, I64, U64, Series


class Scores(NamedTuple):
    """One entry a fed row, in the order fed."""

    score: F64
    """[0, 1]; NaN for a row that changed nothing"""
    expected: F64
    lower: F64
    upper: F64
    state: npt.NDArray[np.uint8]
    """index into `STATES`"""


STATES = ("warming", "ok", "pending", "firing")


class _Slot(msgspec.Struct):
    series: Series
    seen: int = -1
    count: int = 0
    level: float = 0.0
    spread: float = 0.0
    high: int = 0
    low: int = 0
    started: int = 0
    fired: int = 0
    worst: float = 0.0
    value: float = 0.0


class Bank:
    def __init__(self, config: Detect) -> None:
        self.config = config
        self.slots: dict[int, _Slot] = {}
        self.counters: dict[str, int] = {"evicted_series": 0, "repeated_rows": 0, "unknown_rows": 0}

    def describe(self, series: Series, sparse: bool = False) -> None:
        """Make a series known; a description that differs from the known one replaces it.

        `sparse`: derived rows that come only when there is enough to derive them from (quantiles,
        error ratios, log rates); such a series is never absent.
        """
        if series.fp in self.slots:
            self.slots[series.fp].series = series
            return
        if len(self.slots) >= self.config.max_series_per_shard:
            oldest = min(self.slots.values(), key=lambda s: (s.seen, s.series.fp))
            del self.slots[oldest.series.fp]
            self.counters["evicted_series"] += 1
        self.slots[series.fp] = _Slot(series)

    def known(self, fps: U64) -> npt.NDArray[np.bool_]:
        return np.array([int(fp) in self.slots for fp in fps], dtype=bool)

    def feed(self, fps: U64, ts: I64, values: F64) -> list[Alert]:
        """Rows sorted by (ts, fp). Rows at or before a series' last seen time change nothing."""
        alerts: list[Alert] = []
        for fp, at, value in zip(fps.tolist(), ts.tolist(), values.tolist(), strict=True):
            slot = self.slots.get(fp)
            if slot is None:
                self.counters["unknown_rows"] += 1
            elif at <= slot.seen:
                self.counters["repeated_rows"] += 1
            else:
                alerts.extend(self._row(slot, at, value))
        return alerts

    def feed_scored(self, fps: U64, ts: I64, values: F64) -> tuple[list[Alert], Scores]:
        """`feed`, and what was thought of each row."""
        n = len(fps)
        nan = np.full(n, np.nan)
        return self.feed(fps, ts, values), Scores(nan, nan, nan, nan, np.zeros(n, np.uint8))

    def advance(self, step_end_ms: int) -> list[Alert]:
        """The end of an event-time step: absences and expiries."""
        return []

    def next_due(self) -> int | None:
        """Event time (ms) at which `advance` has something to do although no row comes, or None.

        The shard skips empty steps: it calls `advance` at the end of each step that holds rows or
        a due time. Never earlier than the last `advance`.
        """
        return None

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((list(self.slots.values()), self.counters))

    def restore(self, blob: bytes) -> None:
        slots, self.counters = msgspec.msgpack.decode(blob, type=tuple[list[_Slot], dict[str, int]])
        self.slots = {slot.series.fp: slot for slot in slots}

    def _row(self, slot: _Slot, at: int, value: float) -> list[Alert]:
        z = (value - slot.level) / (slot.spread + 0.01 * abs(slot.level) + 1e-9)
        slot.seen = at
        slot.count += 1
        odd = slot.count > self.config.warmup_samples and abs(z) > 8
        if odd:
            slot.started = slot.started if slot.high else at
            if not slot.high or abs(z) > abs(slot.worst):
                slot.worst, slot.value = z, value
            slot.high, slot.low = slot.high + 1, 0
        else:
            slot.low += 1
            rate = max(0.02, 1 / slot.count)
            slot.spread += rate * (abs(value - slot.level) - slot.spread)
            slot.level += rate * (value - slot.level)
        out = []
        if slot.high >= self.config.hold_samples and not slot.fired:
            slot.fired = at
            out.append(self._alert(slot, at, None))
        elif slot.high and slot.low >= self.config.clear_samples:
            if slot.fired:
                out.append(self._alert(slot, at, at))
            slot.high = slot.fired = 0
        return out

    def _alert(self, slot: _Slot, at: int, resolved: int | None) -> Alert:
        series = slot.series
        fingerprint = f"{series.fp:016x}"
        return Alert(
            id=alert_id(fingerprint, "metric", slot.started),
            version=1 if resolved is None else 2,
            state="firing" if resolved is None else "resolved",
            kind="metric",
            fingerprint=fingerprint,
            service=series.service,
            metric=series.metric,
            severity="warning",
            started_at=slot.started,
            detected_at=slot.fired,
            last_seen_at=at,
            resolved_at=resolved,
            summary=f"{series.service} {series.metric} {slot.value:.4g}, usually {slot.level:.4g}",
            value=slot.value,
            expected=slot.level,
            score=0.95,
            strength=slot.worst,
            unit=series.unit,
            instance=dict(series.labels).get("instance", ""),
            labels=series.labels,
            resource=series.resource,
        )
