"""The bank: detectors over many series at once, one slot of flat arrays a series.

Rows go through `detectors.kernel` in order, score then learn; Python sees only what the gate lets
through. Equal rows give equal alerts, scores and snapshots, however they are cut into calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import Detect
from detectors import kernel, leaving, snapshots
from detectors.absence import Absences
from detectors.alert import Alert
from detectors.cadence import FAR
from detectors.control import SPARSE, Control, Controls, set_up
from detectors.evidence import WORDS as REASONS
from detectors.excluded import Excluded
from detectors.gate import FIRING, OK, STATES
from detectors.index import Index
from detectors.metric_alerts import metric_alert
from detectors.state import EVENT, Arrays, Records
from detectors.words import instance_of
from streams.records.pages import F64, I64, U64, Series

EVENTS_AT_ONCE = 512
EVICT_SHARE = 64
"""when full, one in so many series goes at once, the least recently seen ones"""

__all__ = ["REASONS", "STATES", "Bank", "Scores", "warm"]


class Scores(NamedTuple):
    """One entry a fed row, in the order fed."""

    score: F64
    """[0, 1]; 0.9 or more says it now, once (`detectors.combine`); 0 in warm-up; NaN for a row that
    changed nothing"""
    expected: F64
    lower: F64
    upper: F64
    """where the score would reach `fire_score`, going by the level alone"""
    state: npt.NDArray[np.uint8]
    """index into `STATES`"""
    reason: npt.NDArray[np.uint8]
    """what gave the score: `BY_LEVEL` to `BY_RULE` of `detectors.gate`, or `detectors.evidence.NEWS` and
    the place of a statistic"""

    @classmethod
    def of(cls, n: int) -> Scores:
        """Of `n` rows nothing is known of yet."""
        nan = np.full((4, n), np.nan)
        return cls(nan[0], nan[1], nan[2], nan[3], np.zeros(n, np.uint8), np.zeros(n, np.uint8))


_CONFIG = np.dtype(
    [
        ("warmup", "<i8"),
        ("clear_score", "<f8"),
        ("absent_intervals", "<f8"),
        ("absent_min_ms", "<i8"),
    ]
)


def warm() -> None:
    """Compile the kernels, or load them from the cache: seconds the first time, best before data flow."""
    bank = Bank(Detect())
    bank.describe(Series(1, "", ""))
    one = np.ones(1, np.uint64)
    bank.feed(one, one.astype(np.int64), one.astype(np.float64))
    bank.known(one)


class Bank:
    """Mutable state of one shard's metric detectors; see `docs/detectors.md`."""

    def __init__(self, config: Detect) -> None:
        self.config = config
        self._settings = np.zeros(1, _CONFIG)
        self._settings[0] = (
            config.warmup_samples,
            config.clear_score,
            config.absent_intervals,
            config.absent_min_ms,
        )
        self._arrays = Arrays(16)
        self._index = Index()
        self._series: list[Series | None] = []
        self._instance: list[str] = []
        self._control: list[Control] = []
        self._controls = Controls(config)
        self.excluded = Excluded(config.max_series_per_shard)
        self.leaving: set[int] = set()
        """slots of series that are excluded from now on: their alerts end with the step"""
        self._free: list[int] = []
        self._services: dict[str, int] = {}
        """service to a number that is never used again"""
        self._service = np.full(16, -1, np.int64)
        """by slot: number of its service"""
        self._next_service = 0
        self.absences = Absences(config.absent_min_ms)
        self.now_ms = 0
        """event time of the newest row or step"""
        self.counters: dict[str, int] = {
            "evicted_series": 0, "expired_series": 0,
            "unknown_rows": 0, "repeated_rows": 0, "nonfinite_rows": 0,
            "excluded_rows": 0,
        }  # fmt: skip
        self._events: Records = np.zeros(EVENTS_AT_ONCE, EVENT)
        self._idle_check = 0

    # what the absences need

    @property
    def slots(self) -> Records:
        """Per-series records (`detectors.state.SLOT`)."""
        return self._arrays.slots

    @property
    def due(self) -> I64:
        """Per slot, when the series is overdue (`detectors.cadence.FAR`: never)."""
        return self._arrays.due

    def series_at(self, slot: int) -> Series:
        series = self._series[slot]
        if series is None:
            raise LookupError(f"slot {slot} is free")
        return series

    def control_of(self, series: Series) -> Control:
        """What the rules make of a series, known or not."""
        return self._controls.of(series)

    def control_at(self, slot: int) -> Control:
        return self._control[slot]

    def instance_at(self, slot: int) -> str:
        return self._instance[slot]

    def slots_of(self, fps: Sequence[int]) -> list[int]:
        """Slots of those of the fingerprints that are known."""
        found: list[int] = self._index.lookup(np.array(fps, np.uint64)).tolist()
        return [slot for slot in found if slot >= 0]

    def members(self, service: str) -> list[int]:
        """Slots of the service's series, in order."""
        number = self._services.get(service)
        if number is None:
            return []
        found: list[int] = np.flatnonzero(self._service[: len(self._series)] == number).tolist()
        return found

    # series

    def __len__(self) -> int:
        return self._index.count

    def describe(self, series: Series, sparse: bool = False) -> None:
        """Make a series known; a description that differs from the known one replaces it.

        `sparse`: derived rows that come only when there is enough to derive them from (quantiles,
        error ratios, log rates); such a series is never absent. When the bank is full, the least
        recently seen series are forgotten, oldest first, and counted. A series that a rule excludes
        takes no place.
        """
        known = self.slots_of([series.fp])
        control = self._controls.of(series)
        if not control.watch:
            self.excluded.add(series.fp)
            self.leaving.update(known)
            return
        self.excluded.discard(series.fp)
        self.leaving.difference_update(known)
        if not known:
            if len(self) >= self.config.max_series_per_shard:
                self._evict()
            slot = self._new_slot()
            self._arrays.clear(slot, series.fp, self.now_ms)
            self._index.add(np.array([series.fp], np.uint64), np.array([slot], np.int64))
        else:
            slot = known[0]
        if known and self._series[slot] == series and bool(self.slots["sparse"][slot] & SPARSE) == sparse:
            return
        self._settle(slot, series, control, sparse)

    def _settle(self, slot: int, series: Series, control: Control, sparse: bool) -> None:
        """Everything of a slot that follows from description and configuration."""
        self._series[slot] = series
        self._control[slot] = control
        self._instance[slot] = instance_of(series)
        self._service[slot] = self._number_of(series.service)
        s = self.slots[slot]
        set_up(s, series, control, sparse)
        if s["sparse"] and s["state"] != FIRING:
            self._arrays.due[slot] = FAR

    def seat(self, series: Sequence[Series]) -> None:
        """Give each of these, in a bank that is empty, the next slot, to be filled from a snapshot."""
        for slot, one in enumerate(series):
            self._new_slot()
            self._series[slot] = one
        fps = np.array([one.fp for one in series], np.uint64)
        self._index.add(fps, np.arange(len(series), dtype=np.int64))

    def take_over(self, slot: int) -> None:
        """Hold a slot that was filled from a snapshot to the configuration of now."""
        series = self.series_at(slot)
        control = self._controls.of(series)
        self._settle(slot, series, control, bool(self.slots["sparse"][slot] & SPARSE))
        if not control.watch:
            self.excluded.add(series.fp)
            self.leaving.add(slot)

    def known(self, fps: U64) -> npt.NDArray[np.bool_]:
        """Which fingerprints have been described and not forgotten, excluded ones included."""
        return (self._index.lookup(fps) >= 0) | self.excluded.among(fps)

    def _new_slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._series)
        if slot >= len(self._arrays.slots):
            self._arrays.grow(2 * len(self._arrays.slots))
            self._service = np.concatenate([self._service, np.full_like(self._service, -1)])
        self._series.append(None)
        self._instance.append("")
        self._control.append(NO_CONTROL)
        return slot

    def _number_of(self, service: str) -> int:
        number = self._services.get(service)
        if number is None:
            number = self._services[service] = self._next_service
            self._next_service += 1
        return number

    def _evict(self) -> None:
        used = np.flatnonzero(self.slots["used"][: len(self._series)])
        touched, fps = self.slots["touched"][used], self.slots["fp"][used]
        order = np.lexsort((fps, touched))
        n = max(1, len(used) // EVICT_SHARE)
        self.forget(used[order[:n]].tolist())
        self.counters["evicted_series"] += n

    def forget(self, slots: list[int]) -> None:
        """Make room: nothing is known of the series in these slots any more."""
        self.leaving.difference_update(slots)
        for slot in slots:
            self.absences.forget(self.series_at(slot).fp)
            self._series[slot] = None
            self._instance[slot] = ""
            self._control[slot] = NO_CONTROL
            self._free.append(slot)
        self.slots["used"][slots] = 0
        self._service[slots] = -1
        self._arrays.due[slots] = FAR
        used = np.flatnonzero(self.slots["used"][: len(self._series)])
        left = set(self._service[used].tolist())
        self._services = {name: number for name, number in self._services.items() if number in left}
        self._index.clear(len(used))
        self._index.add(self.slots["fp"][used], used.astype(np.int64))

    def lapse(self, slots: Sequence[int], now_ms: int) -> list[Alert]:
        """End the alerts of series that may stop and did: nobody measures them any more."""
        alerts = [
            leaving.resolved(self, slot, now_ms) for slot in slots if self.slots["state"][slot] == FIRING
        ]
        self.slots["state"][slots] = OK
        self._arrays.due[slots] = FAR
        return alerts

    # rows

    def feed(self, fps: U64, ts: I64, values: F64) -> list[Alert]:
        """Take rows sorted by (ts, fp); gauge-like values, times in ms.

        Rows at or before a series' last seen time, of unknown series, or not finite change nothing;
        they are counted.
        """
        return self._feed(fps, ts, values, None)

    def feed_scored(self, fps: U64, ts: I64, values: F64) -> tuple[list[Alert], Scores]:
        """`feed`, and what was thought of each row."""
        scores = Scores.of(len(fps))
        return self._feed(fps, ts, values, scores), scores

    def surprises(self, fps: U64, ts: I64, values: F64) -> tuple[Scores, F64]:
        """`examined` without the alerts."""
        return self.examined(fps, ts, values)[1:]

    def examined(self, fps: U64, ts: I64, values: F64) -> tuple[list[Alert], Scores, F64]:
        """`feed_scored`, and the bits of surprise of each statistic, one row each."""
        scores = Scores.of(len(fps))
        bits = np.zeros((len(fps), len(REASONS)))
        return self._feed(fps, ts, values, scores, bits), scores, bits

    def _feed(
        self, fps: U64, ts: I64, values: F64, scores: Scores | None, bits: F64 | None = None
    ) -> list[Alert]:
        if not len(fps):
            return []
        fps = np.ascontiguousarray(fps, np.uint64)
        ts = np.ascontiguousarray(ts, np.int64)
        values = np.ascontiguousarray(values, np.float64)
        out = scores or _NO_SCORES
        counts = np.zeros(3, np.int64)
        alerts: list[Alert] = []
        a, at = self._arrays, 0
        while at < len(fps):
            at, n_events, _ = kernel.run(
                at, fps, ts, values, self._index.keys, self._index.places,
                a.slots, a.due, a.codes, a.evidence, a.profile, a.visits, self._settings[0], counts,
                self._events, scores is not None, *out, _NO_BITS if bits is None else bits,
            )  # fmt: skip
            alerts += [
                metric_alert(event, self.series_at(int(event["slot"])), self.control_at(int(event["slot"])))
                for event in self._events[:n_events]
            ]
        self.now_ms = max(self.now_ms, int(ts.max()))
        left_out = 0
        if len(self.excluded) and counts[kernel.UNKNOWN]:
            left_out = int(np.count_nonzero(self.excluded.among(fps) & (self._index.lookup(fps) < 0)))
        self.counters["excluded_rows"] += left_out
        self.counters["unknown_rows"] += int(counts[kernel.UNKNOWN]) - left_out
        self.counters["repeated_rows"] += int(counts[kernel.REPEATED])
        self.counters["nonfinite_rows"] += int(counts[kernel.NONFINITE])
        return alerts

    # time

    def next_due(self) -> int | None:
        """Event time (ms) at which `advance` has something to do although no row comes, or None."""
        return self.now_ms if self.leaving else self.absences.next_due(self, len(self._series))

    def advance(self, step_end_ms: int) -> list[Alert]:
        """The end of an event-time step: absences begin and end, long silent series are forgotten."""
        self.now_ms = max(self.now_ms, step_end_ms)
        alerts = leaving.farewell(self, step_end_ms) if self.leaving else []
        if step_end_ms >= self._idle_check:
            # In fixed pieces of time, so that it does not matter how often this is called.
            every = max(1, self.config.series_idle_ms // 16)
            self._idle_check = (step_end_ms // every + 1) * every
            slots = self.slots[: len(self._series)]
            # Later than the shard forgets, so that it never sends rows of a series forgotten here.
            limit = step_end_ms // every * every - self.config.series_idle_ms - 2 * every
            idle = np.flatnonzero((slots["used"] != 0) & (slots["touched"] < limit))
            if len(idle):
                self.forget(idle.tolist())
                self.counters["expired_series"] += len(idle)
        return alerts + self.absences.advance(self, len(self._series), step_end_ms)

    # state

    def snapshot(self) -> bytes:
        """Everything, exactly; compressed."""
        return snapshots.pack(self)

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot, into a fresh bank; its configuration holds from now on."""
        snapshots.unpack(self, blob)


NO_CONTROL = Controls(Detect()).of(Series(0, "", ""))
"""of a free slot"""
_NO_SCORES = Scores.of(0)
_NO_BITS = np.empty((0, len(REASONS)))
