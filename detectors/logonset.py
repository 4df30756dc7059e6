"""When a burst of lines began: the change point of greatest likelihood, in lines and then in time.

The first is that of Hinkley (1970) for a rate that is not known after the change, with a service's own lines
for a clock, so that load cancels out. A service that logs little has few lines between a stray one and the
burst, however long ago that was; so the question is asked once more in time, of the burst's lines alone: two
rates against one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def onset(lines: Sequence[tuple[int, int]], total: int, usual: float, since: int) -> int:
    """The line from which on a higher share explains best what came, ms.

    `lines`: time of each (ms, rising), and the lines of the service before it; `total`: of the service;
    `usual`: share of these lines that is usual; `since`: the answer where there are none.
    """
    best, began = -math.inf, since
    for number, (ts, before) in enumerate(lines):
        seen, expected = len(lines) - number, usual * max(1, total - before)
        gain = seen * math.log(seen / expected) - (seen - expected) if seen > expected else 0.0
        if gain > best:
            best, began = gain, ts
    return began


def gathering(times: Sequence[int], least: float) -> int:
    """Where lines begin to come at once, ms: the split of their intervals into a slow and a quick part that
    explains them best, by more than `least` (a deviance) beyond one rate for all; else the first.
    """
    last = len(times) - 1
    best, began = _likelihood(last, times[-1] - times[0]) + least / 2, times[0]
    for at in range(1, last):
        slow, quick = times[at] - times[0], times[-1] - times[at]
        found = _likelihood(at, slow) + _likelihood(last - at, quick)
        if found > best and at * quick < (last - at) * slow:
            best, began = found, times[at]
    return began


def _likelihood(intervals: int, ms: int) -> float:
    """Of so many within that time at their own rate, as its logarithm, what is common to all left out.

    Lines of one second say nothing of a rate: one request may log many."""
    return intervals * math.log(intervals / max(1.0, ms / 1000)) if intervals else 0.0
