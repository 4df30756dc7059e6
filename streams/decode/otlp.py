"""What OTLP means, whatever its encoding: kinds, severities, times, bodies."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence

from streams.decode.errors import WRONG_TYPE
from streams.records.pages import Kind

DELTA, CUMULATIVE = 1, 2
"""aggregation temporality"""

NO_RECORDED_VALUE = 1
"""flag of a point that only says: nothing was measured"""

NS_PER_MS = 1_000_000
MAX_BUCKETS = 1_000
MAX_BODY = 16_384
"""characters kept of a log body"""

SEVERITIES = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "information": 9,
    "informational": 9,
    "notice": 10,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "err": 17,
    "severe": 17,
    "critical": 18,
    "crit": 18,
    "alert": 19,
    "fatal": 21,
    "emerg": 21,
    "emergency": 21,
    "panic": 21,
}
"""level names in lower case -> OpenTelemetry severity number"""

TEMPORALITIES = {"AGGREGATION_TEMPORALITY_DELTA": DELTA, "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE}

STATUS_ERROR = 2


class RowFault(ValueError):
    """One row cannot be used; the others of its record can."""

    def __init__(self, detail: str, reason: str = WRONG_TYPE) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


def sum_kind(temporality: int, monotonic: bool) -> Kind:
    """How to read a sum. Raises `RowFault` if the producer did not say."""
    if temporality == DELTA:
        return Kind.DELTA
    if temporality == CUMULATIVE:
        # An up-down counter is a level: its value says more than its slope.
        return Kind.COUNTER if monotonic else Kind.GAUGE
    raise RowFault(f"a sum's temporality must be delta (1) or cumulative (2), not {temporality}")


def histogram_kind(temporality: int) -> Kind:
    """How to read a histogram. Raises `RowFault` if the producer did not say."""
    if temporality == DELTA:
        return Kind.HISTOGRAM_DELTA
    if temporality == CUMULATIVE:
        return Kind.HISTOGRAM
    raise RowFault(f"a histogram's temporality must be delta (1) or cumulative (2), not {temporality}")


def severity_number(number: int, name: str) -> int:
    """The number if there is one, else what the name means, else 0 (unknown)."""
    if 1 <= number <= 24:
        return number
    known = SEVERITIES.get(name.strip().lower())
    if known is not None:
        return known
    # INFO2, ERROR3, …: the finer grades of the protocol itself
    base = SEVERITIES.get(name.strip().lower()[:-1])
    return base + int(name.strip()[-1]) - 1 if base is not None and name.strip()[-1] in "234" else 0


def body_of(body: str, event_name: str, exception_message: str) -> str:
    """The text of a log record: its body, or what stands in for a missing one."""
    return (body or exception_message or event_name)[:MAX_BODY]


def check_buckets(counts: int, bounds: int) -> None:
    """Raises `RowFault` unless there is one more count than bounds, or no counts at all."""
    if counts and counts != bounds + 1:
        raise RowFault(f"{counts} bucket counts do not go with {bounds} bounds")
    if counts > MAX_BUCKETS:
        raise RowFault(f"{counts} buckets, at most {MAX_BUCKETS}")


def packed(counts: Sequence[int]) -> bytes:
    """Bucket counts as u64, little-endian. Raises `RowFault` for a negative or too large one."""
    try:
        return struct.pack(f"<{len(counts)}Q", *counts)
    except struct.error:
        raise RowFault("bucket counts must be 64-bit numbers, none of them negative") from None


def checked_bounds(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Bounds as they are. Raises `RowFault` unless they are finite and rising."""
    if not all(map(math.isfinite, bounds)) or any(a >= b for a, b in itertools.pairwise(bounds)):
        raise RowFault("bucket bounds must be finite and rising")
    return bounds
