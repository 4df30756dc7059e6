"""Is this worker doing its share: every stage placed and restored, and lag small or shrinking.

A large lag is not a reason by itself: after a restart or a burst there is one, and a worker that eats it
is ready. A large lag that reaches no new low is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from streams.agents.sinkrunner import SinkRunner
from streams.agents.views import PartitionHealth, StageView, partitions_health, stalled_for

NOT_SHRINKING_S = 30.0
"""a large lag may go this long without a new low"""


@dataclasses.dataclass(slots=True)
class _Low:
    lag: int
    at: float


class LagWatch:
    """Remembers since when a partition's lag has not shrunk. Mutable; bounded by the partitions held."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        """records; less is no lag worth mentioning"""
        self._lows: dict[tuple[str, str, int], _Low] = {}

    def observe(self, partitions: Sequence[PartitionHealth], now: float) -> None:
        """Take in the lags at `now` (monotonic s). Called about once a second and before each answer."""
        lows = self._lows
        self._lows = {}
        for p in partitions:
            if p.lag <= self.bound:
                continue
            low = lows.get(p.key)
            self._lows[p.key] = _Low(p.lag, now) if low is None or p.lag < low.lag else low

    def not_shrinking_s(self, partition: PartitionHealth, now: float) -> float:
        """Seconds since a large lag was last at a new low; 0 if it is not large."""
        low = self._lows.get(partition.key)
        return 0.0 if low is None else max(0.0, now - low.at)


def unready(views: Sequence[StageView], watch: LagWatch, now: float, unhealthy_after_s: float) -> list[str]:
    """Reasons why this worker is not ready, for a person; empty: it is. `now` is monotonic seconds."""
    reasons = [f"{view.name}: {reason}" for view in views if (reason := view.waiting_for())]
    partitions = partitions_health(views, now)
    watch.observe(partitions, now)
    for p in partitions:
        since = watch.not_shrinking_s(p, now)
        if since > NOT_SHRINKING_S:
            reasons.append(
                f"{p.stage}: lag on {p.topic}/{p.partition} is {p.lag} records, more than {watch.bound}, "
                f"and has not shrunk for {since:.0f} s"
            )
    for view in views:
        retrying = view.runner.retrying_since if isinstance(view.runner, SinkRunner) else None
        if retrying is not None and now - retrying > unhealthy_after_s:
            reasons.append(f"{view.name}: its target has not answered for {now - retrying:.0f} s")
    stall = stalled_for(views, now)
    if stall is not None and stall.seconds > unhealthy_after_s:
        reasons.append(str(stall))
    return reasons
