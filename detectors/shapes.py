"""Novelty of value and move: distance of (value, value before) to a small codebook of what has been.

The codebook holds `SIZE` points of the plane (value now, value before), where the value before is that
of the last sample that was not anomalous, so that coming back from a spike is no move of its own. The
statistic is the distance of the present point to the nearest one,

    d = sqrt(((x - c0)^2 + (y - c1)^2) / 2)

in the units of the value: small for anything the series has done before, whatever its distribution
(several modes, cycles, rare but regular peaks), large for a value or a move never seen. It is the
left discord of length two with bounded memory. Learning: while there is room a point is added; then
a point farther from its nearest than the two closest codes are from each other replaces one of those
two, otherwise it pulls its nearest by `PULL`. `near` keeps each code's distance to its neighbour
(squared, refreshed one code a replacement, so it can be out of date: a heuristic for what to give up).

When not to use it: strong trends (every value is new; its tail calibration then rests) and series of
fewer than `WARMUP` samples. State: 384 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.compiled import part

SIZE = 32
PULL = 0.02
WARMUP = 100
"""samples before it may raise a score; its tail is learned from LISTEN on"""
LISTEN = 30
NEVER = 3.0e38

FIELDS = [
    ("codes", "<i4"),  # in use
    ("novel_n", "<f8"),  # distances seen
    ("novel_mean", "<f8"),
]


@part
def nearest(s: Any, codes: npt.NDArray[np.float32], x: float, y: float) -> tuple[int, float]:
    """Index of the nearest code and the squared distance; (-1, NEVER) while there is none."""
    best, where = NEVER, -1
    for i in range(s["codes"]):
        a = x - np.float64(codes[i, 0])
        b = y - np.float64(codes[i, 1])
        d = 0.5 * (a * a + b * b)
        if d < best:
            best, where = d, i
    return where, best


@part
def learn_codes(
    s: Any, codes: npt.NDArray[np.float32], x: float, y: float, where: int, square: float
) -> None:
    """Take a point into the codebook; `where`, `square` from `nearest`. `codes[:, 2]` is `near`."""
    n = s["codes"]
    if n < SIZE:
        codes[n, 0] = x
        codes[n, 1] = y
        codes[n, 2] = square
        if where >= 0 and square < codes[where, 2]:
            codes[where, 2] = square
        s["codes"] = n + 1
        return
    close = 0
    for i in range(1, SIZE):
        if codes[i, 2] < codes[close, 2]:
            close = i
    if square > codes[close, 2]:
        codes[close, 0] = x
        codes[close, 1] = y
        codes[close, 2] = square
        if square < codes[where, 2]:
            codes[where, 2] = square
        fresh = int(s["novel_n"]) % SIZE
        least = NEVER
        for i in range(SIZE):
            if i != fresh:
                a = np.float64(codes[fresh, 0]) - np.float64(codes[i, 0])
                b = np.float64(codes[fresh, 1]) - np.float64(codes[i, 1])
                least = min(least, 0.5 * (a * a + b * b))
        codes[fresh, 2] = least
    else:
        codes[where, 0] = codes[where, 0] + PULL * (x - np.float64(codes[where, 0]))
        codes[where, 1] = codes[where, 1] + PULL * (y - np.float64(codes[where, 1]))
