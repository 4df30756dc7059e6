"""Exponential histograms as explicit ones over a fixed ladder of bounds.

A producer may change scale and offset from one export to the next; a series needs bounds that
stay. The ladder has two steps per doubling from 2^-14 to 2^32. At scale >= 1 every bucket of the
producer falls into exactly one step, so nothing is lost but resolution; at a coarser scale a bucket
is counted at its upper end. Zero and negative values are counted in the first bucket.
"""

from __future__ import annotations

from collections.abc import Sequence

LOWEST, HIGHEST = -28, 64
"""exponents of the ladder, in half powers of two"""

BOUNDS: tuple[float, ...] = tuple(2.0 ** (half / 2) for half in range(LOWEST, HIGHEST + 1))


def explicit(scale: int, offset: int, counts: Sequence[int], below: int) -> list[int]:
    """Counts per ladder bucket (`len(BOUNDS) + 1`). `below`: observations at or under zero.

    Bucket i of the producer covers (base^i, base^(i+1)] with base = 2^(2^-scale).
    """
    ladder = [0] * (len(BOUNDS) + 1)
    ladder[0] += below
    for i, count in enumerate(counts, start=offset):
        if count:
            # Upper end in half powers of two: ceil((i + 1) * 2 / 2^scale), in integers.
            upper = -((-(i + 1)) >> (scale - 1)) if scale >= 1 else (i + 1) << min(1 - scale, 64)
            ladder[min(max(upper - LOWEST, 0), len(BOUNDS))] += count
    return ladder
