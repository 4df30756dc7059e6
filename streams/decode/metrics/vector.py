"""Vector's metric events as JSON (the `json` codec of its sinks)."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from streams.decode import otlp
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, json_fault
from streams.decode.metrics import ddsketch
from streams.decode.metrics.flat import checked_ms, describe, texts
from streams.decode.metrics.spread import BOUNDS, spread
from streams.decode.otlp import RowFault
from streams.decode.times import any_ms
from streams.records.pages import Kind

VALUES = frozenset(
    ("counter", "gauge", "set", "distribution", "aggregated_histogram", "aggregated_summary", "sketch")
)
"""what a metric may be; one of them is a field of it"""

_KEYS = {"name", "kind"}
_EMPTY = msgspec.Raw(b"null")
_INCREMENTAL, _ABSOLUTE = "incremental", "absolute"


class _Value(msgspec.Struct):
    value: float


class _Set(msgspec.Struct):
    values: list[str]


class _Sample(msgspec.Struct):
    value: float
    rate: int


class _Distribution(msgspec.Struct):
    samples: list[_Sample]


class _Bucket(msgspec.Struct):
    count: int
    upper_limit: float | str | None = None


class _Histogram(msgspec.Struct):
    buckets: list[_Bucket]
    count: int
    sum: float | None = None


class _Quantile(msgspec.Struct):
    value: float | None
    quantile: float | None = None
    upper_limit: float | None = None
    """the quantile in versions before 0.13"""


class _Summary(msgspec.Struct):
    quantiles: list[_Quantile]
    count: int
    sum: float | None = None


class _Metric(msgspec.Struct):
    name: str = ""
    kind: str = ""
    namespace: str | None = None
    tags: msgspec.Raw = _EMPTY
    timestamp: str | int | float | None = None
    counter: _Value | None = None
    gauge: _Value | None = None
    set: _Set | None = None
    distribution: _Distribution | None = None
    aggregated_histogram: _Histogram | None = None
    aggregated_summary: _Summary | None = None
    sketch: msgspec.Raw = _EMPTY


_metric = msgspec.json.Decoder(_Metric)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tags = msgspec.json.Decoder(dict[str, Any] | None)


def decode_metric(value: bytes | msgspec.Raw, sink: Columns) -> bool:
    """Append the rows of one metric event; False if it is none. Raises `RowFault` for a bad one."""
    try:
        metric = _metric.decode(value)
    except UNREADABLE_JSON as error:
        reason, detail = json_fault(error)
        if not _is_metric(value):
            return False
        raise RowFault(detail, reason) from None
    if not metric.kind or not _is_metric(value, metric):
        return False
    if metric.kind not in (_INCREMENTAL, _ABSOLUTE):
        raise RowFault(f"a metric's kind must be incremental or absolute, not {metric.kind[:40]!r}")
    said = metric.timestamp
    _Writer(metric, sink.reference_ms if said is None else checked_ms(any_ms(said)), sink).write()
    return True


def _is_metric(value: bytes | msgspec.Raw, metric: _Metric | None = None) -> bool:
    """Does it have the fields of one, whatever is in them?"""
    if metric is not None and (metric.counter or metric.gauge or metric.distribution):
        return True
    try:
        keys = _fields.decode(value).keys()
    except UNREADABLE_JSON as error:
        reason, detail = json_fault(error)
        raise RowFault(detail, reason) from None
    return keys >= _KEYS and bool(keys & VALUES)


class _Writer:
    """Writes one metric event."""

    def __init__(self, metric: _Metric, ts: int, sink: Columns) -> None:
        self._metric = metric
        self._ts = ts
        self._sink = sink
        self._incremental = metric.kind == _INCREMENTAL
        self._name = f"{metric.namespace}_{metric.name}" if metric.namespace and metric.name else metric.name
        self._group = sink.catalog.group(
            ("vector", metric.namespace, metric.name, metric.kind, bytes(metric.tags))
        )

    def write(self) -> None:
        metric = self._metric
        if metric.counter is not None:
            self._number("", metric.counter.value, Kind.DELTA if self._incremental else Kind.COUNTER)
        elif metric.gauge is not None:
            if self._incremental:
                raise RowFault("the level of a gauge that is only said to move is not known")
            self._number("", metric.gauge.value, Kind.GAUGE)
        elif metric.set is not None:
            self._number("", float(len(metric.set.values)), Kind.GAUGE)
        elif metric.distribution is not None:
            samples = [(sample.value, sample.rate) for sample in metric.distribution.samples]
            self._histogram(BOUNDS, *spread(samples), Kind.HISTOGRAM_DELTA)
        elif metric.aggregated_histogram is not None:
            self._buckets(metric.aggregated_histogram)
        elif metric.aggregated_summary is not None:
            self._summary(metric.aggregated_summary)
        elif bytes(metric.sketch) != b"null":
            total, counts = ddsketch.explicit(metric.sketch)
            kind = Kind.HISTOGRAM_DELTA if self._incremental else Kind.HISTOGRAM
            self._histogram(ddsketch.BOUNDS, total, counts, kind)
        else:
            raise RowFault(f"a metric must have one of {', '.join(sorted(VALUES))}")

    def _slot(
        self, part: str, kind: Kind, bounds: tuple[float, ...] = (), quantile: float | None = None
    ) -> int:
        key = (part, kind, bounds if bounds is not BOUNDS else 0, quantile)
        slot = self._group.get(key)
        if slot is None:
            labels = _labels(self._metric.tags)
            if quantile is not None:
                labels["quantile"] = repr(quantile)
            name = self._name + part if self._name else ""
            series = describe(self._sink, name, labels, "", kind, bounds=bounds)
            slot = self._sink.catalog.add_series(self._group, key, series)
        return slot

    def _number(self, part: str, value: float, kind: Kind, quantile: float | None = None) -> None:
        self._sink.sample(self._slot(part, kind, (), quantile), self._ts, value)

    def _histogram(self, bounds: tuple[float, ...], total: float, counts: bytes, kind: Kind) -> None:
        self._sink.histogram(self._slot("", kind, bounds), self._ts, total, counts)

    def _buckets(self, found: _Histogram) -> None:
        bounds = tuple(map(_limit, found.buckets))
        counts = [bucket.count for bucket in found.buckets]
        if bounds and bounds[-1] == math.inf:
            bounds = bounds[:-1]
        else:
            counts.append(found.count - sum(counts))
        otlp.check_buckets(len(counts), len(bounds))
        kind = Kind.HISTOGRAM_DELTA if self._incremental else Kind.HISTOGRAM
        total = math.nan if found.sum is None else found.sum
        self._histogram(otlp.checked_bounds(bounds), total, otlp.packed(counts), kind)

    def _summary(self, found: _Summary) -> None:
        kind = Kind.DELTA if self._incremental else Kind.COUNTER
        self._number("_count", float(found.count), kind)
        if found.sum is not None:
            self._number("_sum", found.sum, kind)
        for each in found.quantiles:
            quantile = each.upper_limit if each.quantile is None else each.quantile
            if quantile is None:
                raise RowFault("a quantile of a summary must say which")
            if each.value is not None:  # JSON writes null for a NaN: nothing was observed
                self._number("", each.value, Kind.GAUGE, quantile)


def _limit(bucket: _Bucket) -> float:
    limit = bucket.upper_limit
    if limit is None:
        return math.inf  # what JSON made of infinity in older versions
    try:
        return float(limit)
    except ValueError:
        raise RowFault(f"a bucket's upper limit must be a number, not {str(limit)[:40]!r}") from None


def _labels(raw: msgspec.Raw) -> dict[str, str]:
    """Tags as labels: a list of values as one text with commas, a tag without a value as \"true\"."""
    try:
        found: dict[str, Any] | None = _tags.decode(raw)
    except UNREADABLE_JSON as error:
        raise RowFault(f"tags must be an object: {error}"[:300]) from None
    if not found:
        return {}
    bare = {key: "true" for key, value in found.items() if value is None or value == [None]}
    return {**texts(raw, "tags"), **bare}
