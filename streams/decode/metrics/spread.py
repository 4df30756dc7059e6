"""Single measurements as a histogram: what a timer or a distribution sends between two exports."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable

from streams.decode.exponential import BOUNDS
from streams.decode.otlp import RowFault

__all__ = ["BOUNDS", "MOST", "spread", "weight"]

_NOTHING = bytes(8 * (len(BOUNDS) + 1))
_COUNT = struct.Struct("<Q")

MOST = 10**12
"""observations one measurement may stand for"""


def weight(rate: float) -> int:
    """Observations a measurement stands for that was sent with this sample rate. Raises `RowFault`."""
    if not 0 < rate <= 1 or 1 / rate > MOST:
        raise RowFault(f"a sample rate must be above 0 and at most 1, not {rate}")
    return round(1 / rate)


def spread(measured: Iterable[tuple[float, int]]) -> tuple[float, bytes]:
    """Sum and packed counts over `BOUNDS` of (value, how often). Raises `RowFault` for what is no number."""
    counts: dict[int, int] = {}
    total = 0.0
    for value, times in measured:
        if not abs(value) < float("inf"):
            raise RowFault(f"a measurement must be a finite number, not {value}", "non-finite")
        # A bucket includes its upper bound, as everywhere.
        at = bisect.bisect_left(BOUNDS, value)
        counts[at] = counts.get(at, 0) + times
        total += value * times
    raw = bytearray(_NOTHING)
    for at, count in counts.items():
        if not 0 <= count < 2**63:
            raise RowFault("bucket counts must be 64-bit numbers, none of them negative")
        _COUNT.pack_into(raw, 8 * at, count)
    return total, bytes(raw)
