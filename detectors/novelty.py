"""Novelty: how far a value, a move or a short shape is from anything the series has shown before.

For each of six views of a series (below) a book of points in whole units (`detectors.grid`) is kept. The
statistic is the left discord in value space with bounded memory: the largest-coordinate distance of
the present point to the nearest one in the book,

    d = min_c max_k |x_k - c_k|

0 for what has been seen, however rare or multi-modal, large for what has not. Nothing is normalised:
the z-normalised discord of the literature forgets exactly what operations care about, the size.

    value       x_t                                  48 points
    mean        mean of four values                  48
    day         what the daily profile leaves over   48
    swing       range of eight values                48
    shape       (x_t, x_t-1, x_t-2)                  32
    slow shape  means of four at lags 0, 4, 8        32

Learning: while there is room a point is added; then a point farther from its nearest than the two
closest points of the book are from each other replaces one of those two (`near`: distance of each to
its neighbour, refreshed one a replacement). So the points spread over all that has been seen, whatever
its frequency. A point that was nearest to no sample for `AGE` samples is given up: what has not
happened for a week of minutes is news again.

When not to use it: alone on a series with a trend, where every value is new. State: 1,560 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.compiled import part

VALUE, MEAN, DAILY, SWING = 0, 1, 2, 3
SHAPE, SLOW_SHAPE = 0, 1
LINES, LINE_SIZE = 4, 48
SHAPES, SHAPE_SIZE, SHAPE_LENGTH = 2, 32, 3
TICK = 64
"""samples a tick; the age of a point is counted in ticks, modulo 256"""
AGE_TICKS = 156
AGE = AGE_TICKS * TICK
FAR = 65_535
PLACE_BITS, PLACE_MASK = 6, 63

FIELDS = [
    ("line", "<i2", (LINES, 1, LINE_SIZE)),
    ("line_near", "<u2", (LINES, LINE_SIZE)),
    ("shape", "<i2", (SHAPES, SHAPE_LENGTH, SHAPE_SIZE)),
    ("shape_near", "<u2", (SHAPES, SHAPE_SIZE)),
    ("line_least", "<u2", (LINES,)),  # smallest of `near`
    ("shape_least", "<u2", (SHAPES,)),
    ("line_used", "u1", (LINES, LINE_SIZE)),  # tick at which it was nearest
    ("shape_used", "u1", (SHAPES, SHAPE_SIZE)),
    ("line_n", "u1", (LINES,)),  # points in use
    ("shape_n", "u1", (SHAPES,)),
    ("line_fresh", "u1", (LINES,)),  # whose `near` is looked at next
    ("shape_fresh", "u1", (SHAPES,)),
]

Points = npt.NDArray[np.int16]


@part
def nearest_on_line(points: Points, n: int, x: int) -> tuple[int, int]:
    """Place of the nearest of `n` points and its distance; (-1, FAR) when there is none.

    Distance and place share a 32-bit number, so that one smallest is looked for, eight at a time.
    """
    best, here = np.int32(FAR << PLACE_BITS), np.int32(x)
    for i in range(n):
        d = np.int32(abs(np.int32(np.int32(points[0, i]) - here)))
        packed = np.int32(np.int32(d << PLACE_BITS) | np.int32(i))
        best = packed if packed < best else best
    if n == 0:
        return -1, FAR
    return int(best) & PLACE_MASK, int(best) >> PLACE_BITS


@part
def nearest_shape(points: Points, n: int, x: int, y: int, z: int) -> tuple[int, int]:
    """As `nearest_on_line`, for three coordinates."""
    best, first, second, third = np.int32(FAR << PLACE_BITS), np.int32(x), np.int32(y), np.int32(z)
    for i in range(n):
        d = np.int32(abs(np.int32(np.int32(points[0, i]) - first)))
        e = np.int32(abs(np.int32(np.int32(points[1, i]) - second)))
        f = np.int32(abs(np.int32(np.int32(points[2, i]) - third)))
        d = d if d > e else e
        d = d if d > f else f
        packed = np.int32(np.int32(d << PLACE_BITS) | np.int32(i))
        best = packed if packed < best else best
    if n == 0:
        return -1, FAR
    return int(best) & PLACE_MASK, int(best) >> PLACE_BITS


@part
def place_for(
    near: npt.NDArray[np.uint16],
    used: npt.NDArray[np.uint8],
    least: npt.NDArray[np.uint16],
    b: int,
    n: int,
    where: int,
    distance: int,
    seen: int,
) -> int:
    """Where the present point goes, or -1 if it is not taken; `used` and `near` of its nearest move."""
    size = len(near)
    tick = (seen // TICK) & 255
    if where >= 0:
        used[where] = tick
    if n < size:
        place = n
    else:
        old = seen % size
        if ((tick - int(used[old])) & 255) >= AGE_TICKS:
            near[old] = 0
            least[b] = 0
        if distance <= int(least[b]):
            return -1
        place = 0
        for i in range(1, size):
            if near[i] < near[place]:
                place = i
    near[place] = distance if where >= 0 else FAR
    used[place] = tick
    if where >= 0 and where != place and distance < int(near[where]):
        near[where] = distance
    low = FAR
    for i in range(min(n + 1, size)):
        low = min(low, int(near[i]))
    least[b] = low
    return place


@part
def settle(
    points: Points,
    near: npt.NDArray[np.uint16],
    leasts: npt.NDArray[np.uint16],
    counts: npt.NDArray[np.uint8],
    freshes: npt.NDArray[np.uint8],
    b: int,
) -> None:
    """After a point was taken: count it, or in a full book find one point's neighbour anew, in turns."""
    if counts[b] < len(near):
        counts[b] += 1
        return
    fresh = (int(freshes[b]) + 1) % len(near)
    freshes[b] = fresh
    least = FAR
    for i in range(len(near)):
        if i != fresh:
            d = 0
            for k in range(len(points)):
                d = max(d, abs(int(points[k, i]) - int(points[k, fresh])))
            least = min(least, d)
    near[fresh] = least
    for i in range(len(near)):
        least = min(least, int(near[i]))
    leasts[b] = least


@part
def learn_line(r: Any, b: int, x: int, where: int, distance: int) -> None:
    """Take a value into book `b`; `where`, `distance` from `nearest_on_line`."""
    n = int(r["line_n"][b])
    place = place_for(
        r["line_near"][b], r["line_used"][b], r["line_least"], b, n, where, distance, int(r["seen"])
    )
    if place < 0:
        return
    r["line"][b, 0, place] = x
    settle(r["line"][b], r["line_near"][b], r["line_least"], r["line_n"], r["line_fresh"], b)


@part
def learn_shape(r: Any, b: int, x: int, y: int, z: int, where: int, distance: int) -> None:
    """Take a shape into book `b`; `where`, `distance` from `nearest_shape`."""
    n = int(r["shape_n"][b])
    place = place_for(
        r["shape_near"][b], r["shape_used"][b], r["shape_least"], b, n, where, distance, int(r["seen"])
    )
    if place < 0:
        return
    r["shape"][b, 0, place] = x
    r["shape"][b, 1, place] = y
    r["shape"][b, 2, place] = z
    settle(r["shape"][b], r["shape_near"][b], r["shape_least"], r["shape_n"], r["shape_fresh"], b)


@part
def rescale(r: Any, up: int, down: int) -> None:
    """The unit has changed: everything in the books is `up` times or a `down`th of what it was."""
    for b in range(LINES):
        for i in range(LINE_SIZE):
            r["line"][b, 0, i] = int(r["line"][b, 0, i]) * up // down
            r["line_near"][b, i] = min(FAR, int(r["line_near"][b, i]) * up // down)
        r["line_least"][b] = min(FAR, int(r["line_least"][b]) * up // down)
    for b in range(SHAPES):
        r["shape_least"][b] = min(FAR, int(r["shape_least"][b]) * up // down)
        for i in range(SHAPE_SIZE):
            r["shape_near"][b, i] = min(FAR, int(r["shape_near"][b, i]) * up // down)
            for k in range(SHAPE_LENGTH):
                r["shape"][b, k, i] = int(r["shape"][b, k, i]) * up // down


@part
def span(r: Any) -> int:
    """Largest size of anything in the books."""
    largest = 0
    for b in range(LINES):
        for i in range(LINE_SIZE):
            largest = max(largest, abs(int(r["line"][b, 0, i])))
    for b in range(SHAPES):
        for i in range(SHAPE_SIZE):
            for k in range(SHAPE_LENGTH):
                largest = max(largest, abs(int(r["shape"][b, k, i])))
    return largest
