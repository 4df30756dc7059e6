"""Time-of-day and time-of-week profiles, used only where they have proven to predict better.

A profile is a mean per bin (48 half hours of the day, 168 hours of the week), in UTC, relative to an
anchor value, in the whole units of `detectors.grid`. Samples of the running visit to a bin are averaged
apart and taken into the bin when it is left:

    bin += (visit mean - bin) * max(1 / (visits + 1), 1 / MEMORY_VISITS)

so that a prediction never contains the present visit: a profile that is nothing but a recent mean
cannot prove itself. Neighbouring bins are interpolated. What the profile leaves over has a robust
level and spread of its own (`detectors.level`); the profile is used where it has at least
`MIN_VISITS` earlier visits and its spread is below `MARGIN` of the plain one's.

When not to use it: seasons other than a day or a week; local time with daylight saving shifts the
profile by an hour twice a year and is learned anew. State: 216 whole numbers and visit counts, 648
bytes, and 48 bytes for the running visits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.compiled import part
from detectors.grid import on_grid
from detectors.level import DAY, PLAIN, WEEK, sigma

DAY_BINS, DAY_BIN_MS = 48, 1_800_000
WEEK_BINS, WEEK_BIN_MS = 168, 3_600_000
BINS = DAY_BINS + WEEK_BINS
MEMORY_VISITS = 5.0
WIDE = 10.0
"""a sample counts at most this many plain spreads off the plain level: a sharp daily peak is kept whole"""
MIN_VISITS = 4
MARGIN = 0.8
MONDAY_MS = 4 * 86_400_000
"""1970-01-05 was a Monday"""

FIELDS = [
    ("anchor", "<f8"),
    ("bin", "<i4", (2,)),  # bin of the running visit, index into the series' BINS; -1 none
    ("visit_sum", "<f8", (2,)),
    ("visit_n", "<f8", (2,)),
]


@part
def bin_of(which: int, ts: int) -> int:
    """Index of the profile bin, day bins first."""
    if which == DAY:
        return (ts % (DAY_BINS * DAY_BIN_MS)) // DAY_BIN_MS
    return DAY_BINS + ((ts - MONDAY_MS) % (WEEK_BINS * WEEK_BIN_MS)) // WEEK_BIN_MS


@part
def baseline(
    s: Any, unit: float, profile: npt.NDArray[np.int16], visits: npt.NDArray[np.uint8], which: int, ts: int
) -> float:
    """The profile's value at a time, interpolated between bin centres that have been visited."""
    if which == DAY:
        first, bins, width, at = 0, DAY_BINS, DAY_BIN_MS, ts
    else:
        first, bins, width, at = DAY_BINS, WEEK_BINS, WEEK_BIN_MS, ts - MONDAY_MS
    here = (at % (bins * width)) // width
    place = (at % width) / width - 0.5
    other = (here + 1) % bins if place > 0.0 else (here + bins - 1) % bins
    value = np.float64(profile[first + here])
    if visits[first + other] > 0:
        value += abs(place) * (np.float64(profile[first + other]) - value)
    total: float = s["anchor"] + unit * value
    return total


@part
def plain_baseline(
    s: Any, unit: float, profile: npt.NDArray[np.int16], visits: npt.NDArray[np.uint8], ts: int
) -> float:
    """The daily profile's value without interpolation; needs a visited bin."""
    total: float = s["anchor"] + unit * np.float64(profile[bin_of(DAY, ts)])
    return total


@part
def choose(s: Any, visits: npt.NDArray[np.uint8], ts: int) -> int:
    """The level that predicts best so far: PLAIN, DAY or WEEK."""
    best = PLAIN
    spread = s["spread"][PLAIN]
    for which in (DAY, WEEK):
        if visits[bin_of(which, ts)] >= MIN_VISITS and s["spread"][which] < MARGIN * spread:
            best = which
            spread = s["spread"][which]
    return best


@part
def learn_profile(
    s: Any, r: Any, profile: npt.NDArray[np.int16], visits: npt.NDArray[np.uint8], ts: int, value: float
) -> None:
    """Add a sample to the running visits; a visit that has ended goes into its bin."""
    bound = WIDE * sigma(s, PLAIN)
    kept = max(s["level"][PLAIN] - bound, min(s["level"][PLAIN] + bound, value))
    for which in (DAY, WEEK):
        k = which - 1
        now = bin_of(which, ts)
        last = s["bin"][k]
        if last != now:
            if last >= 0 and s["visit_n"][k] > 0.0:
                mean = s["visit_sum"][k] / s["visit_n"][k]
                rate = max(1.0 / (visits[last] + 1.0), 1.0 / MEMORY_VISITS)
                before = r["unit"] * np.float64(profile[last])
                profile[last] = on_grid(r, before + rate * (mean - before))
                if visits[last] < 255:
                    visits[last] += 1
            s["bin"][k] = now
            s["visit_sum"][k] = 0.0
            s["visit_n"][k] = 0.0
        s["visit_sum"][k] += kept - s["anchor"]
        s["visit_n"][k] += 1.0
