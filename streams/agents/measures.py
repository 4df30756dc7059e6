"""What a runner measures per chunk, and totals that survive the cores they come from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from streams.records.telemetry import Totals

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""upper bounds in seconds; beyond the last one there is one more bucket"""


class Histogram:
    """Seconds in buckets. Mutable; observing costs a bisection, so once a chunk, never once a record."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        """sum of all observations, s"""

    def observe(self, seconds: float, times: int = 1) -> None:
        """Note a duration, `times` over; clocks that disagree give negative ones, which count as 0."""
        seconds = max(0.0, seconds)
        self.buckets[bisect_left(BOUNDS, seconds)] += times
        self.total += seconds * times

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, observations up to it) as Prometheus wants them, `+Inf` last."""
        upto, found = 0, []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.buckets, strict=True):
            upto += count
            found.append((bound, float(upto)))
        return found


def grown(totals: Totals, base: Totals) -> dict[tuple[str, str], float]:
    """What was added since `base`; a core restored from a checkpoint may bring its history with it."""
    return {
        key: value - base.get(key, 0.0) for key, value in totals.items() if value - base.get(key, 0.0) > 0
    }


def add_to(sums: dict[tuple[str, str], float], more: Mapping[tuple[str, str], float]) -> None:
    """Add `more` into `sums`."""
    for key, value in more.items():
        sums[key] = sums.get(key, 0.0) + value
