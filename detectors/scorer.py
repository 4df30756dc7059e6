"""The live bank over rows at rest: what was thought of each, and why, in words.

`tocsin score` runs it over the series of a table, the detector explorer over one series of the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import REASONS, Bank
from detectors.control import Control
from detectors.gate import PENDING
from detectors.reasons import reason_words
from streams.records.pages import F64, I64, Series

FAR = 2**62


class Figures(NamedTuple):
    """What was thought of each row; NaN where nothing was, infinite where there is no limit."""

    score: F64
    expected: F64
    lower: F64
    upper: F64
    state: np.ndarray[tuple[int], np.dtype[np.uint8]]
    reason: list[str]


@dataclass(slots=True)
class Scored:
    """What is known of one series so far."""

    name: str
    shown: Series
    """with the unit it is said to have"""
    control: Control
    rows: int = 0
    alerts: int = 0
    highest: float = 0.0
    first_ms: int = FAR
    last_ms: int = -FAR
    run_start: int | None = None
    """of the anomalous run the last row was in, ms"""


class Scorer:
    """Mutable. A series without a metric name is judged without a minimum effect."""

    def __init__(self, config: Detect) -> None:
        self.config = config
        self.bank = Bank(config)
        self.series: list[Scored] = []
        self._by_fp: dict[str, int] = {}
        self.rows = 0
        self.untimed = 0

    def place_of(self, series: Series, name: str, sparse: bool = False) -> int:
        """The series' place among `series`; one that is new is described to the bank."""
        self.bank.describe(series, sparse)
        key = f"{series.fp:016x}"
        known = self._by_fp.get(key)
        if known is None:
            control = self.bank.control_of(series)
            known = self._by_fp[key] = len(self.series)
            self.series.append(Scored(name, control.shown(series), control))
        return known

    def judge(
        self, places: I64, ts: I64, values: F64, timed: npt.NDArray[np.bool_], components: bool = False
    ) -> tuple[Figures, list[Alert], F64]:
        """Figures of rows in their order, the alerts they raised, and with `components` the bits of
        surprise of each statistic (rows x `REASONS`). Rows that are not `timed` are left out, counted."""
        fps = np.array([one.shown.fp for one in self.series], np.uint64)[places]
        n = len(fps)
        self.rows += n
        self.untimed += n - int(timed.sum())
        bits = np.full((n if components else 0, len(REASONS)), np.nan)
        if components:
            alerts, scores, bits[timed] = self.bank.examined(fps[timed], ts[timed], values[timed])
        else:
            alerts, scores = self.bank.feed_scored(fps[timed], ts[timed], values[timed])
        for alert in alerts:
            if alert.state == "firing" and alert.version == 1:
                self.series[self._by_fp[alert.fingerprint]].alerts += 1
        figures = np.full((4, n), np.nan)
        figures[:, timed] = scores[:4]
        codes = np.zeros((2, n), np.uint8)
        codes[:, timed] = scores[4:]
        self._note(places, ts, figures[0], timed)
        reasons = self._reasons(places, ts, values, figures, codes)
        found = Figures(figures[0], figures[1], figures[2], figures[3], codes[0], reasons)
        return found, alerts, bits

    def _note(self, places: I64, ts: I64, score: F64, timed: npt.NDArray[np.bool_]) -> None:
        """Extent and highest score of each series."""
        which, at = np.unique(places, return_inverse=True)
        rows = np.bincount(at, minlength=len(which))
        first, last, highest = np.full(len(which), FAR), np.full(len(which), -FAR), np.zeros(len(which))
        np.minimum.at(first, at[timed], ts[timed])
        np.maximum.at(last, at[timed], ts[timed])
        np.maximum.at(highest, at, np.nan_to_num(score))
        for place, *figures in zip(*(c.tolist() for c in (which, rows, first, last, highest)), strict=True):
            one = self.series[place]
            one.rows += figures[0]
            one.first_ms, one.last_ms = min(one.first_ms, figures[1]), max(one.last_ms, figures[2])
            one.highest = max(one.highest, figures[3])

    def _reasons(
        self, places: I64, ts: I64, values: F64, figures: F64, codes: npt.NDArray[np.uint8]
    ) -> list[str]:
        """Words for rows that are anomalous, or in an anomalous run; else empty."""
        words = [""] * len(places)
        state, by = codes
        scored = np.isfinite(figures[0])
        fire = np.array([one.control.fire for one in self.series])[places]
        in_run = scored & (state >= PENDING)
        telling = in_run | (scored & (figures[0] >= fire))
        running = [place for place, one in enumerate(self.series) if one.run_start is not None]
        concerned = np.isin(places, np.union1d(places[in_run], np.array(running, np.int64)))
        for i in np.flatnonzero(telling | (scored & concerned)).tolist():
            one = self.series[places[i]]
            if not in_run[i]:
                one.run_start = None
            elif one.run_start is None:
                one.run_start = int(ts[i])
            if telling[i]:
                lasted = 0 if one.run_start is None else int(ts[i]) - one.run_start
                row = (float(values[i]), *figures[1:, i].tolist(), int(by[i]), lasted)
                words[i] = reason_words(one.shown, one.control, *row)
        return words

    def summary(self) -> dict[str, Any]:
        """Counts, by what they say."""
        counters = self.bank.counters
        return {
            "rows": self.rows,
            "series": len(self.series),
            "alerts": sum(one.alerts for one in self.series),
            "repeated_or_backward_rows": counters["repeated_rows"],
            "nonfinite_rows": counters["nonfinite_rows"],
            "rows_without_time": self.untimed,
            "rows_of_evicted_series": counters["unknown_rows"],
            "rows_of_excluded_series": counters["excluded_rows"],
        }
