"""Learned cadence of a series, and when it is overdue.

    interval += (dt - interval) * max(1 / (n + 1), RATE)      dt bounded by 4 intervals
    jitter   += (|dt - interval| - jitter) * the same

A series is regular when its jitter is at most half its interval; only a regular one can be overdue:
after the larger of `absent_min_ms` and `absent_intervals` intervals. A series that has come and gone
`GAPS` times (a job that runs now and then) is given twice its usual pause.

Not for series that are sent on change only: they are never regular. State: 66 bytes; the time at which
a series is overdue lies in an array of its own, so that all can be looked through at once.
"""

from __future__ import annotations

from typing import Any

from detectors.compiled import part

RATE = 0.05
GAPS = 3.0
REGULAR = 0.5
BRIDGED = 5.0
"""intervals without a sample after which a run of samples is another one"""
LAPSE_MS = 180_000
"""a series that may stop and fires is no longer measured after so long, or after `BRIDGED` intervals"""
NEVER = -(2**62)
FAR = 2**62
"""event time at which a series is overdue that never is"""

FIELDS = [
    ("first_ts", "<i8"),
    ("last_ts", "<i8"),
    ("interval", "<f8"),
    ("jitter", "<f8"),
    ("intervals", "<f8"),
    ("gaps", "<f8"),
    ("gap_mean", "<f8"),
    ("absent", "u1"),
    ("sparse", "u1"),
]


@part
def bridged(s: Any, absent_min_ms: int) -> float:
    """The longest gap between samples that belong together, ms."""
    return max(float(absent_min_ms), BRIDGED * float(s["interval"]))


@part
def learn_cadence(s: Any, ts: int, warmup: int, absent_intervals: float, absent_min_ms: int) -> int:
    """Take in the time of a sample (later than the one before); returns when the next is overdue."""
    if s["last_ts"] == NEVER:
        s["first_ts"] = ts
        s["last_ts"] = ts
        return FAR
    dt = float(ts - s["last_ts"])
    n = s["intervals"]
    allowed = max(float(absent_min_ms), absent_intervals * s["interval"])
    if n >= warmup and dt > allowed:
        s["gaps"] += 1.0
        s["gap_mean"] += (dt - s["gap_mean"]) / min(s["gaps"], 5.0)
    elif n < 1.0:
        s["interval"] = dt
        s["intervals"] = 1.0
    else:
        dt = min(dt, 4.0 * s["interval"])
        rate = max(1.0 / (n + 1.0), RATE)
        s["jitter"] += rate * (abs(dt - s["interval"]) - s["jitter"])
        s["interval"] += rate * (dt - s["interval"])
        s["intervals"] = n + 1.0
    s["last_ts"] = ts
    s["absent"] = 0
    if s["sparse"] or s["intervals"] < warmup - 1 or s["jitter"] > REGULAR * s["interval"]:
        return FAR
    allowed = max(float(absent_min_ms), absent_intervals * s["interval"])
    if s["gaps"] >= GAPS:
        allowed = max(allowed, 2.0 * s["gap_mean"])
    due: int = ts + int(allowed)
    return due
