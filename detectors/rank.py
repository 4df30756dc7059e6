"""Rank calibration: how rare a statistic is among all this series has shown, in bits of surprise.

For each statistic u >= 0 a histogram of its size is kept: 32 bins, two per factor of two, the top bin
anchored at the largest seen, so they span a factor of 65,536. With N samples counted, of which A lie
above u (within u's bin by linear interpolation),

    P = (A + 1) / (N + 2),   largest / u times that beyond the largest one seen, squared above its bin
    surprise = -log2 P       (piecewise linear: exponent and mantissa of P, so exact and monotone)

No assumption about the distribution, which is what novelty distances and residuals of operational
series need: 6 bits say "as large as this once in 64 samples". At `KEEP` samples all counts are halved:
the memory fades over some weeks of minutes. The top moves up by at most four factors of two a sample.

Source: rank (conformal) calibration of anomaly scores; the bins are those of HdrHistogram with two
sub-buckets. When not to use it: to tell apart deviations far beyond anything seen; all of them are
simply the largest. State: 72 bytes a statistic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.compiled import part

BINS = 32
KEEP = 20_000
NOTHING_YET = -1
SHIFT = 51
"""a double shifted right by this is its bin number: exponent and first bit of the mantissa"""
BELOW = (1 << SHIFT) - 1
PER_BIN, PER_OCTAVE, ONE_RAW = 1.0 / (1 << 51), 1.0 / (1 << 52), 1_023.0
CLIMB = 8
"""bins the top may move up at once, after SETTLED samples"""
SETTLED = 30
STATISTICS = 10

FIELDS = [
    ("largest", "<f4", (STATISTICS,)),
    ("hist", "<u2", (STATISTICS, BINS)),
    ("hist_n", "<u2", (STATISTICS,)),
    ("top", "<i2", (STATISTICS,)),  # bin number of the last bin
]


@part
def raw(u: float) -> int:
    """The bits of a number: its exponent, then its mantissa; grows with it."""
    return int(np.float64(u).view(np.int64))


@part
def bits_of(p: float) -> float:
    """-log2 of a probability, linear between powers of two."""
    return ONE_RAW - raw(p) * PER_OCTAVE


@part
def surprise_bits(r: Any, j: int, u: float) -> float:
    """Surprise of statistic `j`, 0 for the usual."""
    top = int(r["top"][j])
    if u <= 0.0 or top == NOTHING_YET:
        return 0.0
    number = raw(u)
    k = BINS - 1 - top + (number >> SHIFT)
    if k < 0:
        return 0.0
    n = float(r["hist_n"][j])
    largest = float(r["largest"][j])
    if k >= BINS:
        ratio = largest / u
        return bits_of(ratio * ratio / (n + 2.0))
    counts = r["hist"][j]
    above = 0
    for i in range(BINS):  # all of them: this runs many at a time
        above += int(counts[i]) if i > k else 0
    within = (number & BELOW) * PER_BIN
    p = (above + (1.0 - within) * float(counts[k]) + 1.0) / (n + 2.0)
    if u > largest:
        p *= largest / u
    return bits_of(min(1.0, p))


@part
def learn_rank(r: Any, j: int, u: float) -> None:
    """Count statistic `j`."""
    n = int(r["hist_n"][j])
    k = 0
    if u > 0.0:
        number = raw(u) >> SHIFT
        top = int(r["top"][j])
        if top == NOTHING_YET:
            top = number
        elif number > top:
            shift = number - top
            if n > SETTLED:
                shift = min(shift, CLIMB)
            low = 0
            for i in range(min(shift + 1, BINS)):
                low += int(r["hist"][j, i])
            for i in range(1, BINS):
                r["hist"][j, i] = int(r["hist"][j, i + shift]) if i + shift < BINS else 0
            r["hist"][j, 0] = low
            top += shift
        r["top"][j] = top
        k = max(0, min(BINS - 1, BINS - 1 - (top - number)))
        if u > float(r["largest"][j]):
            r["largest"][j] = min(u, float(np.int64((top // 2 + 2) << 52).view(np.float64)))
    r["hist"][j, k] = int(r["hist"][j, k]) + 1
    n += 1
    if n >= KEEP:
        n = 0
        for i in range(BINS):
            half = int(r["hist"][j, i]) // 2
            r["hist"][j, i] = half
            n += half
        r["largest"][j] = float(r["largest"][j]) * 0.99
    r["hist_n"][j] = n
