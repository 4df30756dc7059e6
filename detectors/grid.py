"""Values as small whole numbers: distance to the first value, in units of the series' own range.

    q = floor((value - anchor) / unit + 1/2),  |q| <= LIMIT

`unit` is a power of two, chosen at the first change so that this change is 1,024 to 2,047 units, and
doubled (with all that is kept in units) when a value lies beyond the limit, at most six times a sample,
so that one absurd value cannot blind the series; when nothing remembered needs the range any more, it
becomes finer again (`detectors.evidence.settle_grid`). Two bytes a value and exact whole-number
arithmetic. The last `RING` values are kept, for means and moves.

When not to use it: where differences far below a thousandth of the range matter; level and spread, which
are floating, see those. State: 44 bytes.
"""

from __future__ import annotations

import math
from typing import Any

from detectors.compiled import part

LIMIT = 16_000
RING = 16
"""a power of two; twelve are looked at"""

FIELDS = [
    ("unit", "<f8"),  # 0 until the first change
    ("seen", "<u4"),  # samples taken in
    ("ring", "<i2", (RING,)),
]


@part
def first_unit(away: float) -> float:
    """The unit in which a first distance `away` (not 0) is 1,024 to 2,047."""
    return math.ldexp(1.0, math.frexp(away)[1] - 11)


@part
def on_grid(r: Any, away: float) -> int:
    """A distance to the anchor in whole units, cut at the limit."""
    if r["unit"] == 0.0:
        return 0
    units = max(-float(LIMIT), min(float(LIMIT), away / r["unit"]))
    whole: int = math.floor(units + 0.5)
    return whole


@part
def beyond(r: Any, away: float) -> bool:
    """Whether the unit is too small for this distance."""
    return bool(r["unit"] > 0.0 and abs(away) > LIMIT * r["unit"])


@part
def lag(r: Any, back: int) -> int:
    """The value `back` samples ago, 0 the present one, in units; 0 before the first sample."""
    return int(r["ring"][(int(r["seen"]) - back) & (RING - 1)])


@part
def mean_of_four(r: Any, back: int) -> int:
    """Mean of four values, the newest `back` samples ago, in units."""
    return (lag(r, back) + lag(r, back + 1) + lag(r, back + 2) + lag(r, back + 3)) // 4


@part
def range_of_eight(r: Any) -> int:
    """Largest minus smallest of the last eight values, in units."""
    low = high = lag(r, 0)
    for back in range(1, 8):
        value = lag(r, back)
        low = min(low, value)
        high = max(high, value)
    return high - low
