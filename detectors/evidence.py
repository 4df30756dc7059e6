"""What is measured of a sample beside level and spread: ten statistics, each as bits of surprise.

One pass through `detectors.grid`, `detectors.novelty`, `detectors.drift` and `detectors.rank` a sample:
`weigh` measures and scores from the state, `learn_evidence` takes the very same measurements into it.
Silent (all 0) for the first `LISTEN` samples. The statistics and what they are called when they speak:
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import combine, drift, grid, novelty, rank
from detectors.combine import DAY_SIZE, MOVE, OFF_FAST, OFF_SLOW
from detectors.compiled import part
from detectors.drift import learn_drift
from detectors.grid import (
    LIMIT,
    RING,
    beyond,
    first_unit,
    lag,
    mean_of_four,
    on_grid,
    range_of_eight,
)
from detectors.novelty import (
    LINES,
    SHAPE_LENGTH,
    SHAPES,
    learn_line,
    learn_shape,
    nearest_on_line,
    nearest_shape,
    rescale,
    span,
)
from detectors.rank import STATISTICS, learn_rank, surprise_bits

LISTEN = 30
COARSER = 64
"""the unit grows at most by this at one sample"""
FINER, LOOK = 8, 4096
"""every LOOK samples the unit may become this much finer, if all that is remembered fits well"""
WORDS = (
    "a value it has not shown before",
    "a stretch of values it has not shown before",
    "a value not seen at this time of day",
    "a swing it has not shown before",
    "a shape it has not shown before",
    "a slow shape it has not shown before",
    "far from its usual at this time of day",
    "far off its recent course",
    "far off its course of the last hours",
    "a jump larger than usual",
)
"""by place among the surprises"""
NEWS = 16
"""reason code of the first of them, after those of the gate"""

EVIDENCE = np.dtype(
    [*grid.FIELDS, *drift.FIELDS, *rank.FIELDS, *combine.FIELDS, *novelty.FIELDS],
)


def _empty() -> Any:
    empty = np.zeros((), EVIDENCE)
    empty["top"] = rank.NOTHING_YET
    empty["resting"] = 1e6
    return empty


EMPTY = _empty()
"""a series nothing is known of"""

F64 = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
BOOKS = LINES + SHAPES
VIEWS = LINES + SHAPES * SHAPE_LENGTH


@part
def settle_grid(r: Any, away: float, profile: npt.NDArray[np.int16]) -> None:
    """Choose or change the unit for this value; everything kept in units follows."""
    if r["unit"] == 0.0:
        if away != 0.0:
            r["unit"] = first_unit(abs(away))
        return
    up, down = 1, 1
    while down < COARSER and beyond(r, away):
        r["unit"] *= 2.0
        down *= 2
    if down == 1 and int(r["seen"]) % LOOK == LOOK - 1 and abs(away) * FINER < LIMIT * r["unit"]:
        largest = span(r)
        for which in range(len(profile)):
            largest = max(largest, abs(int(profile[which])))
        for i in range(RING):
            largest = max(largest, abs(int(r["ring"][i])))
        if 0 < largest * 4 * FINER < LIMIT:
            up = FINER
            r["unit"] /= FINER
    if up == down:
        return
    rescale(r, up, down)
    for i in range(RING):
        r["ring"][i] = int(r["ring"][i]) * up // down
    for which in range(len(profile)):
        if profile[which] != 0:
            profile[which] = int(profile[which]) * up // down


@part
def look(r: Any, residual: float, views: Places) -> None:
    """What the books are about, in whole units: four values, then two shapes of three."""
    views[novelty.VALUE] = lag(r, 0)
    views[novelty.MEAN] = mean_of_four(r, 0)
    views[novelty.DAILY] = on_grid(r, residual)
    views[novelty.SWING] = range_of_eight(r)
    views[4] = views[novelty.VALUE]
    views[5] = lag(r, 1)
    views[6] = lag(r, 2)
    views[7] = views[novelty.MEAN]
    views[8] = mean_of_four(r, 4)
    views[9] = mean_of_four(r, 8)


@part
def weigh(
    r: Any, away: float, residual: float, views: Places, where: Places, near: Places, sizes: F64, bits: F64
) -> None:
    """Measure a sample and score it from the state.

    `away`: value minus anchor; `residual`: value minus the daily profile, 0 while there is none. Fills
    `views` (`look`), `where` and `near` (nearest points and their distances), `sizes` (statistics, in the
    value's units) and `bits` (surprises).
    """
    r["ring"][int(r["seen"]) & (RING - 1)] = on_grid(r, away)
    look(r, residual, views)
    for b in range(LINES):
        where[b], near[b] = nearest_on_line(r["line"][b], int(r["line_n"][b]), views[b])
    for b in range(SHAPES):
        c = LINES + SHAPE_LENGTH * b
        where[LINES + b], near[LINES + b] = nearest_shape(
            r["shape"][b], int(r["shape_n"][b]), views[c], views[c + 1], views[c + 2]
        )
    for b in range(BOOKS):
        # In the value's units: the grid's unit may have changed since the ranks were learned.
        sizes[b] = near[b] * r["unit"] if r["seen"] > 0 else 0.0
    sizes[DAY_SIZE] = abs(residual)
    sizes[OFF_FAST] = abs(away - r["fast"])
    sizes[OFF_SLOW] = abs(away - r["slow"])
    sizes[MOVE] = abs(away - r["before"])
    for j in range(STATISTICS):
        bits[j] = surprise_bits(r, j, sizes[j]) if r["seen"] >= LISTEN else 0.0


@part
def learn_evidence(r: Any, away: float, views: Places, where: Places, near: Places, sizes: F64) -> None:
    """Take the sample that `weigh` has measured into the state."""
    for j in range(STATISTICS):
        learn_rank(r, j, sizes[j])
    for b in range(LINES):
        learn_line(r, b, views[b], where[b], near[b])
    for b in range(SHAPES):
        c = LINES + SHAPE_LENGTH * b
        learn_shape(r, b, views[c], views[c + 1], views[c + 2], where[LINES + b], near[LINES + b])
    learn_drift(r, away, float(r["seen"]))
    r["seen"] = int(r["seen"]) + 1


@part
def top_reason(bits: F64) -> int:
    """Place of the largest surprise."""
    best = 0
    for j in range(1, STATISTICS):
        if bits[j] > bits[best]:
            best = j
    return best
