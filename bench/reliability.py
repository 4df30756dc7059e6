"""How often a confidence is right: bins, expected calibration error, Brier score, and the odds that fit.

A *case* is what was said first of one fault: from which data set, the share of all suspicion it had (the
confidence before calibration), and whether it was right. *Left out*: fitted without the case's own set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.table import Table
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from correlator.confidence import scaled

F64 = npt.NDArray[np.float64]
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_EDGE = 1e-4


class Case(NamedTuple):
    data: str
    share: float
    right: bool


class Figures(NamedTuple):
    """Of one way to say confidences."""

    mean: float
    ece: float
    """expected calibration error: mean distance of confidence and share right, over the bins"""
    brier: float


def share_of(confidence: float, odds: float) -> float:
    """The share a calibrated confidence was made of."""
    return scaled(confidence, 1.0 / odds)


def fit(cases: Sequence[Case]) -> float:
    """The odds with the highest likelihood; right and wrong are softened as Platt (1999) does."""
    shares, right = _columns(cases)
    wrong = len(right) - right.sum()
    target = np.where(right > 0, (right.sum() + 1) / (right.sum() + 2), 1 / (wrong + 2))

    def loss(log_odds: float) -> float:
        p = np.clip(_scaled(shares, np.exp(log_odds)), _EDGE, 1 - _EDGE)
        return -float(np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))


def left_out(cases: Sequence[Case]) -> F64:
    """Confidence of each case, fitted on the other sets."""
    found = np.zeros(len(cases))
    for data in dict.fromkeys(case.data for case in cases):
        inside = np.array([case.data == data for case in cases])
        odds = fit([case for case in cases if case.data != data])
        found[inside] = _scaled(_columns(cases)[0][inside], odds)
    return found


def figures(confidence: F64, cases: Sequence[Case]) -> Figures:
    _, right = _columns(cases)
    error = 0.0
    for inside in _bins(confidence):
        error += abs(float(confidence[inside].sum() - right[inside].sum()))
    return Figures(float(confidence.mean()), error / len(cases), float(np.mean((confidence - right) ** 2)))


def tables(cases: Sequence[Case], odds: float, title: str) -> tuple[Table, Table]:
    """Bins of the confidences fitted without the set, and the figures before and after."""
    shares, right = _columns(cases)
    without = left_out(cases)
    bins = Table("confidence", "cases", "mean", "right", title=f"{title}, set left out", title_justify="left")
    for low, high, inside in zip(EDGES, EDGES[1:], _bins(without), strict=False):
        if inside.any():
            mean, share = f"{without[inside].mean():.2f}", f"{right[inside].mean():.2f}"
            bins.add_row(f"{low:.1f} to {high:.1f}", str(int(inside.sum())), mean, share)
    said = Table("confidence", "mean", "right", "ECE", "Brier", title=title, title_justify="left")
    for name, confidence in (
        ("before (share of suspicion)", shares),
        ("fitted without the set", without),
        (f"fitted on all (odds times {odds:g})", _scaled(shares, odds)),
    ):
        f = figures(confidence, cases)
        said.add_row(name, f"{f.mean:.3f}", f"{right.mean():.3f}", f"{f.ece:.3f}", f"{f.brier:.3f}")
    return bins, said


def _columns(cases: Sequence[Case]) -> tuple[F64, F64]:
    return np.array([case.share for case in cases]), np.array([float(case.right) for case in cases])


def _scaled(shares: F64, odds: float) -> F64:
    return np.array([scaled(share, odds) for share in shares])


def _bins(confidence: F64) -> list[npt.NDArray[np.bool_]]:
    places = np.clip(np.searchsorted(EDGES, confidence, side="right") - 1, 0, len(EDGES) - 2)
    return [places == place for place in range(len(EDGES) - 1)]
