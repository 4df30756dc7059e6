"""How the series of a service usually go together, learned from recent vectors of them.

    z  = (x - median) / spread                          each series in its own spreads
    r  = z - E(z | the other series)                    what the others do not explain
       = P z / diag(P),   P = (correlation + RIDGE I)^-1
    m  = sqrt(mean r^2)                                 the joint distance, each r in its own spreads

A series that goes its own way in its usual range has an ordinary `z` and a large `r`. `z - r` is what
the others let expect of it, which is what a person is told. Partial correlation and Mahalanobis distance
in other words; Huber's caution applies: vectors are clipped before they are learned from.

The forest (`detectors.forest`) is grown from (r, its two largest, m, the size of z). Trees alone are
weak here: one odd value among many is rarely split on, and beyond what they have seen they cannot tell
far from farther. So `m` says how far, and the forest has to agree: its path must be as short as that of
one usual vector in ten.

Half of the vectors (every other one) teach, the other half calibrates: what is usual is what vectors
show that the model has not seen. Only + - * / and square roots, in a fixed order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.compiled import kernel
from detectors.forest import F32, F64, Forest, grow, paths
from detectors.tail import SHARE

RIDGE = 0.05
CLIP, LEARNED_CLIP = 20.0, 6.0
"""in spreads: of what is scored, and of what correlations are learned from"""
SUMMARY = 4
"""features after the residuals"""
AGREED = 0.1
"""share of usual vectors whose paths are short enough to agree with a distance"""


class Scale(NamedTuple):
    """Arrays by column."""

    median: F64
    narrow: F64
    """1 / spread; 0: it has not moved, it says nothing"""
    weights: F64
    """[column, column]: residual = weights z"""
    centre: F64
    """median of the residual, in spreads of the series"""
    sharp: F64
    """1 / spread of the residual"""


class Model(NamedTuple):
    """What one fit found. Never changed."""

    scale: Scale
    forest: Forest
    agreed: float
    """paths up to this long agree"""
    tail: F64
    """of the distance, as in `detectors.tail`"""
    median: float
    """of the distance"""
    learned: int
    """vectors that calibrated"""


def fit(vectors: F32, trees: int, seed: int) -> Model | None:
    """Learn from vectors f32[n, columns], oldest first, NaN where missing; None: nothing moves together."""
    taught, held = vectors[::2].astype(np.float64), vectors[1::2].astype(np.float64)
    median, narrow = _spread(taught)
    if np.count_nonzero(narrow) < 2:
        return None
    columns = vectors.shape[1]
    weights = np.zeros((columns, columns))
    z = np.clip(np.where(np.isnan(taught), 0.0, (taught - median) * narrow), -LEARNED_CLIP, LEARNED_CLIP)
    _partial(z, narrow > 0.0, weights)
    plain = Scale(median, narrow, weights, np.zeros(columns), np.ones(columns))
    centre, sharp = _spread(residuals(plain, taught))
    scale = Scale(median, narrow, weights, centre, sharp)
    features, _ = describe(scale, taught)
    forest = grow(features, trees, seed)
    features, distance = describe(scale, held)
    agreed = float(np.sort(paths(forest, features))[int(AGREED * len(held))])
    tail = np.array(_tail(distance))
    return Model(scale, forest, agreed, tail, float(np.median(distance)), len(held))


def describe(scale: Scale, vectors: F64) -> tuple[F32, F64]:
    """Features f32[n, columns + SUMMARY], and the joint distance, of vectors f64[n, columns]."""
    features = np.zeros((len(vectors), vectors.shape[1] + SUMMARY), np.float32)
    distance = np.zeros(len(vectors))
    _features(np.ascontiguousarray(vectors), *scale, features, distance)
    return features, distance


def residuals(scale: Scale, vectors: F64) -> F64:
    """What the others do not explain, clipped, in the residual's own spreads."""
    features, _ = describe(scale, vectors)
    return features[:, : vectors.shape[1]].astype(np.float64)


def expected(scale: Scale, vector: F64) -> F64:
    """What the other series let expect of each, in its own unit; its median where they say nothing."""
    z = np.where(np.isnan(vector), 0.0, np.clip((vector - scale.median) * scale.narrow, -CLIP, CLIP))
    away = np.zeros(len(z))
    _multiply(scale.weights, z, away)
    moved = scale.narrow > 0.0
    back = np.where(moved, 1.0 / np.where(moved, scale.narrow, 1.0), 0.0)
    return scale.median + (z - away + scale.centre) * back


def _tail(values: F64) -> tuple[float, float, float]:
    """A start for `learn_tail`, from values of which few are beyond the quantile."""
    ordered = np.sort(values)
    n = len(ordered)
    q = float(ordered[int((1.0 - SHARE) * n)])
    beyond = ordered[-max(1, int(SHARE * n)) :]
    excess = 0.0
    for value in beyond.tolist():
        excess += (value - q) / len(beyond)
    floor = max(0.3 * (q - float(ordered[n // 2])), 1e-3 * abs(q), 1e-9)
    return max(q, 1e-6), max(excess, floor), 0.0


def _spread(values: F64) -> tuple[F64, F64]:
    """Median and 1 / robust spread by column; 0 for one that does not move or has hardly any value."""
    columns = values.shape[1]
    median, narrow = np.zeros(columns), np.zeros(columns)
    for column in range(columns):
        seen = values[:, column]
        seen = seen[~np.isnan(seen)]
        if 4 * len(seen) < len(values):
            continue
        middle = float(np.median(seen))
        off = np.abs(seen - middle)
        root = _rms(np.ascontiguousarray(off))
        spread = max(1.4826 * float(np.median(off)), 0.3 * root)
        median[column] = middle
        if spread > 1e-9 * abs(middle) and spread > 1e-30:
            narrow[column] = 1.0 / spread
    return median, narrow


@kernel
def _rms(values: F64) -> float:
    total = 0.0
    for i in range(len(values)):
        total += values[i] * values[i]
    return float(np.sqrt(total / len(values)))


@kernel
def _multiply(weights: F64, z: F64, out: F64) -> None:
    for row in range(len(z)):
        total = 0.0
        for column in range(len(z)):
            total += weights[row, column] * z[column]
        out[row] = total


@kernel
def _partial(z: F64, moved: npt.NDArray[np.bool_], out: F64) -> None:
    """Rows of the inverse of the ridged correlation of z, each divided by its diagonal."""
    n, columns = z.shape
    mean, deviation = np.zeros(columns), np.zeros(columns)
    for c in range(columns):
        for i in range(n):
            mean[c] += z[i, c] / n
        for i in range(n):
            deviation[c] += (z[i, c] - mean[c]) * (z[i, c] - mean[c]) / n
        deviation[c] = np.sqrt(deviation[c])
    a = np.zeros((columns, 2 * columns))
    for c in range(columns):
        a[c, c] = 1.0 + RIDGE
        a[c, columns + c] = 1.0
        for d in range(c):
            if moved[c] and moved[d] and deviation[c] > 0.0 and deviation[d] > 0.0:
                total = 0.0
                for i in range(n):
                    total += (z[i, c] - mean[c]) * (z[i, d] - mean[d])
                a[c, d] = a[d, c] = total / n / (deviation[c] * deviation[d])
    for c in range(columns):  # Gauss and Jordan; the ridge keeps every pivot above zero
        pivot = a[c, c]
        for d in range(2 * columns):
            a[c, d] /= pivot
        for other in range(columns):
            factor = a[other, c]
            if other != c and factor != 0.0:
                for d in range(2 * columns):
                    a[other, d] -= factor * a[c, d]
    for c in range(columns):
        for d in range(columns):
            if moved[c] and moved[d] and deviation[c] > 0.0 and deviation[d] > 0.0:
                # z is in robust spreads, correlations in plain ones
                share = a[c, columns + d] / a[c, columns + c]
                out[c, d] = share * deviation[c] / deviation[d]
        if moved[c]:
            out[c, c] = 1.0


@kernel
def _features(
    vectors: F64, median: F64, narrow: F64, weights: F64, centre: F64, sharp: F64, out: F32, distance: F64
) -> None:
    n, columns = vectors.shape
    z = np.zeros(columns)
    for i in range(n):
        size = 0.0
        moved = 0
        for c in range(columns):
            z[c] = 0.0
            if narrow[c] > 0.0:
                moved += 1
                if not np.isnan(vectors[i, c]):
                    z[c] = max(-20.0, min(20.0, (vectors[i, c] - median[c]) * narrow[c]))
            size += z[c] * z[c]
        square = 0.0
        first = 0.0
        second = 0.0
        for c in range(columns):
            r = 0.0
            if narrow[c] > 0.0 and not np.isnan(vectors[i, c]):
                for d in range(columns):
                    r += weights[c, d] * z[d]
                r = max(-20.0, min(20.0, (r - centre[c]) * sharp[c]))
            out[i, c] = r
            square += r * r
            r = abs(r)
            if r > first:
                second = first
                first = r
            elif r > second:
                second = r
        many = max(moved, 1)
        distance[i] = np.sqrt(square / many)
        out[i, columns] = first
        out[i, columns + 1] = second
        out[i, columns + 2] = distance[i]
        out[i, columns + 3] = np.sqrt(size / many)
