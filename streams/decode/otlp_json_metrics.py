"""Metrics in OTLP's JSON form to rows."""

from __future__ import annotations

import math

import msgspec
from msgspec import Raw

from streams.decode import exponential, otlp
from streams.decode import otlp_json_schema as schema
from streams.decode import otlp_json_values as values
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON
from streams.decode.otlp import NO_RECORDED_VALUE, RowFault
from streams.decode.resource import series
from streams.records.pages import Kind, Origin

_attributes = msgspec.json.Decoder(list[schema.KeyValue], strict=False)


def _temporality(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return otlp.TEMPORALITIES.get(value) or (int(value) if value.isdecimal() and len(value) < 3 else 0)


def write(part: schema.ResourceMetrics, sink: Columns) -> None:
    """Append the points of one sender. Raises msgspec's errors if the sender itself cannot be read."""
    key, slot = values.sender_of(part.resource, sink)
    sender = sink.catalog.origins.entries[slot]
    for scope in part.scope_metrics:
        for metric in scope.metrics:
            try:
                _Writer(key, sender, metric, sink).write()
            except RowFault as fault:
                sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}", max(1, _size(metric)))


def _size(metric: schema.Metric) -> int:
    for data in (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary):
        if data is not None:
            return len(data.data_points)
    return 0


class _Writer:
    """Writes the points of one metric of one sender."""

    def __init__(self, raw: bytes, sender: Origin, metric: schema.Metric, sink: Columns) -> None:
        self.raw = raw
        self.sender = sender
        self.metric = metric
        self.sink = sink

    def write(self) -> None:
        """Raises `RowFault` if none of the points can be used."""
        metric = self.metric
        if not metric.name:
            raise RowFault("a metric must have a name")
        if metric.gauge is not None:
            self._numbers(metric.gauge, Kind.GAUGE)
        elif metric.sum is not None:
            kind = otlp.sum_kind(_temporality(metric.sum.aggregation_temporality), metric.sum.is_monotonic)
            self._numbers(metric.sum, kind)
        elif metric.histogram is not None:
            self._histograms(metric.histogram)
        elif metric.exponential_histogram is not None:
            self._exponentials(metric.exponential_histogram)
        elif metric.summary is not None:
            self._summaries(metric.summary)

    def _slot(
        self,
        attributes: Raw,
        kind: Kind,
        name: str,
        bounds: tuple[float, ...] = (),
        extra: tuple[tuple[str, str], ...] = (),
    ) -> int:
        """Slot of a series. Raises `RowFault` if its attributes cannot be read."""
        catalog = self.sink.catalog
        unit = self.metric.unit
        group = catalog.group((self.raw, name, unit, kind))
        key = (bytes(attributes), bounds, extra)
        slot = group.get(key)
        if slot is None:
            try:
                labels = values.pairs(_attributes.decode(attributes))
            except UNREADABLE_JSON as error:
                raise RowFault(f"unreadable attributes: {error}") from None
            described = series(
                self.sender,
                name,
                (*labels, *extra),
                unit,
                kind,
                catalog.max_labels,
                otlp.checked_bounds(bounds),
            )
            slot = catalog.add_series(group, key, described)
        return slot

    def _numbers(self, data: schema.Numbers, kind: Kind) -> None:
        sink, name = self.sink, self.metric.name
        group = sink.catalog.group((self.raw, name, self.metric.unit, kind))
        for point in data.data_points:
            number = point.as_double if point.as_double is not None else point.as_int
            if number is None:
                if not point.flags & NO_RECORDED_VALUE:
                    self._refuse(RowFault("a point without a value"))
                continue
            try:
                time = values.millis(point.time_unix_nano)
                slot = group.get((bytes(point.attributes), (), ()))
                if slot is None:
                    slot = self._slot(point.attributes, kind, name)
                sink.sample(slot, time, number if isinstance(number, float) else values.integer(number))
            except RowFault as fault:
                self._refuse(fault)

    def _refuse(self, fault: RowFault) -> None:
        self.sink.refuse(fault.reason, f"metric {self.metric.name}: {fault.detail}")

    def _histograms(self, data: schema.Histogram) -> None:
        kind = otlp.histogram_kind(_temporality(data.aggregation_temporality))
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                counts, bounds = point.bucket_counts, point.explicit_bounds
                otlp.check_buckets(len(counts), len(bounds))
                time = values.millis(point.time_unix_nano)
                slot = self._slot(point.attributes, kind, self.metric.name, tuple(bounds) if counts else ())
                total = math.nan if point.sum is None else point.sum
                self.sink.histogram(slot, time, total, otlp.packed(counts or [point.count]))
            except RowFault as fault:
                self._refuse(fault)

    def _exponentials(self, data: schema.Exponential) -> None:
        kind = otlp.histogram_kind(_temporality(data.aggregation_temporality))
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                time = values.millis(point.time_unix_nano)
                slot = self._slot(point.attributes, kind, self.metric.name, exponential.BOUNDS)
                below = point.zero_count + sum(point.negative.bucket_counts)
                positive = point.positive
                counts = exponential.explicit(point.scale, positive.offset, positive.bucket_counts, below)
                total = math.nan if point.sum is None else point.sum
                self.sink.histogram(slot, time, total, otlp.packed(counts))
            except RowFault as fault:
                self._refuse(fault)

    def _summaries(self, data: schema.Summary) -> None:
        name = self.metric.name
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                time = values.millis(point.time_unix_nano)
                sink, labels = self.sink, point.attributes
                sink.sample(
                    self._slot(labels, Kind.COUNTER, f"{name}_count"), time, values.integer(point.count)
                )
                sink.sample(self._slot(labels, Kind.COUNTER, f"{name}_sum"), time, point.sum)
                for quantile in point.quantile_values:
                    # NaN, or null as JavaScript writes it: nothing was observed in the window
                    if quantile.value is not None and not math.isnan(quantile.value):
                        label = (("quantile", repr(quantile.quantile)),)
                        slot = self._slot(labels, Kind.GAUGE, name, extra=label)
                        sink.sample(slot, time, quantile.value)
            except RowFault as fault:
                self._refuse(fault)
