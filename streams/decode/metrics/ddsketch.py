"""The Datadog Agent's sketch, as Vector writes it: bins of a fixed logarithmic ladder, as a histogram.

Bin k > 0 covers values around gamma^(k - bias) with gamma = 1 + 2/128, bin 0 what is next to zero, and
k < 0 negative values. 45 bins make one step of our ladder, so a bin is counted where it begins.
"""

from __future__ import annotations

import msgspec

from streams.decode.errors import UNREADABLE_JSON
from streams.decode.metrics.spread import BOUNDS, spread
from streams.decode.otlp import RowFault

__all__ = ["BOUNDS", "explicit"]

_GAMMA = 1.0 + 2.0 / 128.0
_BIAS = 1338
_HIGHEST = 32_766
"""one more stands for infinity"""
_MOST = 4_096
"""bins the Agent keeps"""


class _Bins(msgspec.Struct):
    k: list[int]
    n: list[int]


class _Bin(msgspec.Struct):
    k: int
    n: int


class _Sketch(msgspec.Struct):
    bins: _Bins | list[_Bin]
    sum: float


class _Agent(msgspec.Struct):
    agent: _Sketch = msgspec.field(name="AgentDDSketch")


class _Value(msgspec.Struct):
    sketch: _Agent


_value = msgspec.json.Decoder(_Value)


def explicit(raw: msgspec.Raw) -> tuple[float, bytes]:
    """Sum and packed counts over `BOUNDS`. Raises `RowFault`."""
    try:
        found = _value.decode(raw).sketch.agent
    except UNREADABLE_JSON as error:
        raise RowFault(f"no sketch of the Datadog Agent: {error}"[:300]) from None
    bins = found.bins
    pairs = (
        list(zip(bins.k, bins.n, strict=False))
        if isinstance(bins, _Bins)
        else [(each.k, each.n) for each in bins]
    )
    if isinstance(bins, _Bins) and len(bins.k) != len(bins.n):
        raise RowFault("a sketch must have as many counts as bins")
    if len(pairs) > _MOST:
        raise RowFault(f"{len(pairs)} bins in a sketch, at most {_MOST}")
    _, counts = spread((_begin(k), n) for k, n in pairs)
    return found.sum, counts


def _begin(k: int) -> float:
    if k <= 0:
        return float(min(k, 0))
    # The ladder ends at 2^32, far below the exponents that would overflow.
    return float(_GAMMA ** (min(k, _HIGHEST) - _BIAS)) if k < _BIAS + 4_000 else float(BOUNDS[-1] * 2)
