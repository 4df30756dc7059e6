"""Tail calibration: from a deviation to a score in [0, 1], learned online for each series.

A deviation `u >= 0` is compared with what this series itself has shown. Kept are `q`, the value
exceeded by a share `SHARE` of the samples (stochastic approximation of the quantile), and `scale`,
the mean excess above `q`. Above `q` the tail is taken as generalised Pareto with the fixed, heavy
shape 1/3 (peaks over threshold, as SPOT of Siffer et al., KDD 2017, without its refits):

    P(U > u) = SHARE * (1 + (u - q) / (3 scale)) ** -3          u > q
    score    = 1 - P ** (1/3)                                   so 0.9 says "one in a thousand"

The cube root makes the score rational in `u`: no transcendental function, equal bits everywhere.
Below `q` the score is linear from 0.

The score's tails go on learning while an anomaly lasts, so the score says how surprising a sample is
*given what just happened* and sinks when the anomaly goes on. The gate has tails of its own, in which
of a cluster of excesses the first counts in full and those that follow it directly by `CLUSTER` each
(declustering): a slow climb must not teach, sample by sample, that it is normal.

Not for statistics whose scale jumps by orders of magnitude in normal operation: it then needs about
ten excesses to catch up. State: 24 bytes a tail.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.compiled import part

SHARE = 0.02
BODY: float = 1.0 - SHARE ** (1.0 / 3.0)
"""score at `q`"""
RATE = 0.01
"""learning rate after the start, 1 / samples"""
CLUSTER = 0.1
"""weight of an excess that directly follows another one, in the gate's tails"""
START = 10.0
"""a tail's prior is worth this many samples"""


@part
def surprise(u: float, q: float, scale: float) -> float:
    """Score of a deviation."""
    if u <= q:
        return BODY * u / q
    return 1.0 - (1.0 - BODY) / (1.0 + (u - q) / (3.0 * scale))


@part
def limit(score: float, q: float, scale: float) -> float:
    """The deviation at which `surprise` reaches `score`, which is below 1."""
    if score <= BODY:
        return q * score / BODY
    return q + 3.0 * scale * ((1.0 - BODY) / (1.0 - score) - 1.0)


@part
def learn_tail(
    tail: npt.NDArray[np.float64], u: float, count: float, q_min: float, scale_min: float, follow: float
) -> None:
    """Take one deviation into `tail` = [q, scale, over].

    `count`: samples of this series so far. `follow`: weight of an excess right after another one.
    """
    rate = max(RATE, START / (count + START))
    if u > tail[0]:
        weight = follow if tail[2] > 0.0 else 1.0
        tail[2] = 1.0
        # One extreme moves the scale by at most a factor: it must not blind the detector.
        excess = min(u - tail[0], 20.0 * tail[1])
        tail[1] += weight * max(RATE, 1.0 / (START + SHARE * count)) * (excess - tail[1])
        tail[0] += weight * rate * tail[1] * (1.0 - SHARE)
    else:
        tail[2] = 0.0
        tail[0] -= rate * tail[1] * SHARE
    tail[0] = max(tail[0], q_min)
    tail[1] = max(tail[1], scale_min)
