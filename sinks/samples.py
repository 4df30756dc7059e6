"""Pages to columns of the tables `samples`, `histogram_samples` and `series`. Numbers stay in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.control import labels_of
from detectors.held import PageRows, rows_of
from detectors.origins import derived_from
from streams.records.messages import MAX_MS
from streams.records.pages import F64, I64, U64, Kind, NumbersPage, Page, Series

SERIES_COLUMNS = (
    "fingerprint", "service", "metric", "kind", "unit", "instance", "domain", "labels", "resource",
    "bounds", "derived", "first_seen", "last_seen",
)  # fmt: skip
KINDS = {kind: kind.name.lower() for kind in Kind}
NO_DOMAIN = "default"
"""as the correlator calls it"""

Mask = npt.NDArray[np.bool_]


class Numbers(NamedTuple):
    """Rows of `samples`."""

    fps: U64
    ts: I64
    """ms UTC"""
    values: F64


class Buckets(NamedTuple):
    """Rows of `histogram_samples`."""

    fps: U64
    ts: I64
    """ms UTC"""
    sums: F64
    widths: I64
    counts: F64
    """of all rows, one after another"""


class Sampled(NamedTuple):
    """What some pages say of numbers."""

    numbers: Numbers
    buckets: Buckets
    series: dict[int, Series]
    """described in them, by fingerprint; the last description wins"""


def sampled(pages: Iterable[Page | NumbersPage]) -> Sampled:
    """All of their numbers, in their order. Raises ValueError for a page whose columns do not fit."""
    parts: list[PageRows] = []
    series: dict[int, Series] = {}
    for page in pages:
        parts.append(rows_of(page))
        series.update((one.fp, one) for one in page.series)
    numbers = Numbers(
        _joined([part.numbers.columns[0] for part in parts], np.uint64),
        _joined([part.numbers.ts for part in parts], np.int64),
        _joined([part.numbers.columns[1] for part in parts], np.float64),
    )
    found = [part.histograms for part in parts if part.histograms is not None]
    buckets = Buckets(
        _joined([part.columns[0] for part in found], np.uint64),
        _joined([part.ts for part in found], np.int64),
        _joined([part.columns[1] for part in found], np.float64),
        _joined([part.columns[3] for part in found], np.int64),
        _joined([part.extra for part in found], np.float64),
    )
    return Sampled(numbers, buckets, series)


def narrowed(rows: Sampled, unwanted: U64) -> Sampled:
    """Without the rows of some series, and without times no column holds."""
    keep = _kept(rows.numbers.fps, rows.numbers.ts, unwanted)
    numbers = rows.numbers
    if not keep.all():
        numbers = Numbers(numbers.fps[keep], numbers.ts[keep], numbers.values[keep])
    buckets = rows.buckets
    keep = _kept(buckets.fps, buckets.ts, unwanted)
    if not keep.all():
        counts = buckets.counts[np.repeat(keep, buckets.widths)]
        buckets = Buckets(
            buckets.fps[keep], buckets.ts[keep], buckets.sums[keep], buckets.widths[keep], counts
        )
    return Sampled(numbers, buckets, rows.series)


def _kept(fps: U64, ts: I64, unwanted: U64) -> Mask:
    keep: Mask = (ts >= 0) & (ts <= MAX_MS)
    if len(unwanted):
        keep &= ~np.isin(fps, unwanted)
    return keep


def domain_of(series: Series, label: str) -> str:
    """The correlation domain its alerts belong to."""
    if not label:
        return NO_DOMAIN
    return dict(series.resource).get(label) or dict(series.labels).get(label) or NO_DOMAIN


def extents(rows: Sampled, wanted: Iterable[int]) -> dict[int, tuple[int, int]]:
    """First and last time, ms, of those of the series that have rows here."""
    chosen = np.fromiter(wanted, np.uint64)
    if not len(chosen):
        return {}
    fps = np.concatenate([rows.numbers.fps, rows.buckets.fps])
    ts = np.concatenate([rows.numbers.ts, rows.buckets.ts])
    mine = np.isin(fps, chosen)
    which, at = np.unique(fps[mine], return_inverse=True)
    first, last = np.full(len(which), MAX_MS), np.zeros(len(which), np.int64)
    np.minimum.at(first, at, ts[mine])
    np.maximum.at(last, at, ts[mine])
    spans = zip(first.tolist(), last.tolist(), strict=True)
    return dict(zip(which.tolist(), spans, strict=True))


def series_row(series: Series, label: str, first_ms: int, last_ms: int) -> tuple[Any, ...]:
    """Values in the order of `SERIES_COLUMNS`."""
    return (
        series.fp,
        series.service,
        series.metric,
        KINDS[Kind(series.kind)],
        series.unit,
        labels_of(series)["instance"],
        domain_of(series, label),
        dict(series.labels),
        dict(series.resource),
        list(series.bounds),
        derived_from(series),
        first_ms,
        last_ms,
    )


def numbers_block(rows: Numbers) -> bytes:
    """One block of ClickHouse's format Native, made of the arrays as they are."""
    columns = (
        ("fingerprint", "UInt64", rows.fps.tobytes()),
        ("ts", "DateTime64(3, 'UTC')", rows.ts.tobytes()),
        ("value", "Float64", rows.values.tobytes()),
    )
    return _block(len(rows.ts), columns)


def buckets_block(rows: Buckets) -> bytes:
    """The same of histograms; an array is its end offsets and then all its elements."""
    columns = (
        ("fingerprint", "UInt64", rows.fps.tobytes()),
        ("ts", "DateTime64(3, 'UTC')", rows.ts.tobytes()),
        ("sum", "Float64", rows.sums.tobytes()),
        ("counts", "Array(Float64)", np.cumsum(rows.widths).astype("<u8").tobytes() + rows.counts.tobytes()),
    )
    return _block(len(rows.ts), columns)


def _block(rows: int, columns: Sequence[tuple[str, str, bytes]]) -> bytes:
    parts = [_varint(len(columns)), _varint(rows)]
    for name, kind, data in columns:
        for text in (name.encode(), kind.encode()):
            parts += [_varint(len(text)), text]
        parts.append(data)
    return b"".join(parts)


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _joined(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    if not parts:
        return np.empty(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
