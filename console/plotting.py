"""Arrays as charts.js takes them: few enough points, and numbers that JSON has. Pure."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt


def thinned(rows: npt.NDArray[np.intp], score: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Of each stretch of rows the one with the highest score; at most `most`."""
    if len(rows) <= most:
        return rows
    cuts = np.linspace(0, len(rows), most + 1).astype(int)
    kept = [a + int(np.argmax(np.nan_to_num(score[a:b]))) for a, b in itertools.pairwise(cuts) if b > a]
    return rows[kept]


def plain(values: npt.NDArray[np.float64]) -> list[float | None]:
    """As JSON has numbers."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
