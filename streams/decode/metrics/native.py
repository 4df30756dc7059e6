"""Native histograms of Prometheus as explicit ones.

Their exponential schemas are OpenTelemetry's scales with bucket i one further up, and go onto the
same ladder (`streams.decode.exponential`); custom buckets keep their own bounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from streams.decode import exponential, otlp
from streams.decode.otlp import RowFault

CUSTOM = -53
"""schema number of buckets with bounds of their own"""
LOWEST, HIGHEST = -4, 8
GAUGE_HINT = 3


def bounds_of(point: Any) -> tuple[float, ...]:
    """Upper bounds of its buckets. Raises `RowFault` for a kind of histogram that cannot be used."""
    if point.schema == CUSTOM:
        bounds = tuple(point.custom_values)
        otlp.check_buckets(len(bounds) + 1, len(bounds))
        return otlp.checked_bounds(bounds)
    if LOWEST <= point.schema <= HIGHEST:
        return exponential.BOUNDS
    raise RowFault(
        f"a native histogram's schema must be {CUSTOM} or {LOWEST} to {HIGHEST}, not {point.schema}"
    )


def counts_of(point: Any, bounds: tuple[float, ...]) -> bytes:
    """Counts per bucket, u64. Raises `RowFault` for buckets that do not fit."""
    if point.HasField("count_float"):
        raise RowFault("a native histogram with fractions for counts (of a recording rule) is not read")
    if point.reset_hint == GAUGE_HINT:
        raise RowFault("a native histogram that is a gauge is not read")
    counts = [0] * (len(bounds) + 1)
    positive = _runs(point.positive_spans, point.positive_deltas)
    if point.schema == CUSTOM:
        for start, run in positive:
            if start < 0 or start + len(run) > len(counts):
                raise RowFault("a native histogram's buckets go beyond its bounds")
            counts[start : start + len(run)] = run
        return otlp.packed(counts)
    counts[0] += point.zero_count + sum(
        sum(run) for _, run in _runs(point.negative_spans, point.negative_deltas)
    )
    for start, run in positive:
        # Bucket i ends at base^i, where OpenTelemetry's ends at base^(i + 1).
        for at, count in enumerate(exponential.explicit(point.schema, start - 1, run, 0)):
            counts[at] += count
    return otlp.packed(counts)


def _runs(spans: Iterable[Any], deltas: Iterable[int]) -> list[tuple[int, list[int]]]:
    """First bucket and counts of each run of buckets. Raises `RowFault`."""
    counts = list(itertools.accumulate(deltas))
    found: list[tuple[int, list[int]]] = []
    at = taken = 0
    for span in spans:
        run = counts[taken : taken + span.length]
        if len(run) != span.length:
            break
        at += span.offset
        found.append((at, run))
        at += span.length
        taken += span.length
    else:
        if taken == len(counts):
            return found
    raise RowFault("a native histogram's spans do not fit its buckets")
