"""Residuals of two running forecasts, and the bare move from one sample to the next.

    fast += (x - fast) * max(1 / (n + 1), 1 / 60)       slow likewise with 1 / 300
    |x - fast|, |x - slow|, |x - x_before|

Simple exponential smoothing, as distances to the anchor; its residuals say "off its recent course" where
the robust level (`detectors.level`) says "off its normal". Holt's trend term and an autoregression by
recursive least squares were measured beside it and gained nothing after calibration.

When not to use it: as the only thing on a series with a strong season, whose every morning is a
residual. State: 24 bytes.
"""

from __future__ import annotations

from typing import Any

from detectors.compiled import part

FAST, SLOW = 60.0, 300.0
"""samples of memory"""

FIELDS = [
    ("fast", "<f8"),
    ("slow", "<f8"),
    ("before", "<f8"),
]


@part
def learn_drift(r: Any, away: float, seen: float) -> None:
    """Move both forecasts; `away` is the distance to the anchor."""
    r["fast"] += (away - r["fast"]) * max(1.0 / (seen + 1.0), 1.0 / FAST)
    r["slow"] += (away - r["slow"]) * max(1.0 / (seen + 1.0), 1.0 / SLOW)
    r["before"] = away
