"""The slow way through an OTLP JSON record that is wrong-typed somewhere: item by item.

What can be read is kept; what cannot is refused, one row at a time: a log record, a span, a data
point, or a whole metric if its head is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Raw

from streams.decode import otlp_json_schema as schema
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault

T = TypeVar("T")


class _Base(msgspec.Struct, rename="camel"):
    pass


class _Points(_Base):
    data_points: list[Raw] = []
    aggregation_temporality: Raw = Raw(b"0")
    is_monotonic: Raw = Raw(b"false")


class _Metric(_Base):
    name: str = ""
    unit: str = ""
    gauge: _Points | None = None
    sum: _Points | None = None
    histogram: _Points | None = None
    exponential_histogram: _Points | None = None
    summary: _Points | None = None


class _MetricScope(_Base):
    metrics: list[Raw] = []


class _LogScope(_Base):
    log_records: list[Raw] = []


class _SpanScope(_Base):
    spans: list[Raw] = []


class _ResourceMetrics(_Base):
    resource: Raw = Raw(b"{}")
    scope_metrics: list[_MetricScope] = []


class _ResourceLogs(_Base):
    resource: Raw = Raw(b"{}")
    scope_logs: list[_LogScope] = []


class _ResourceSpans(_Base):
    resource: Raw = Raw(b"{}")
    scope_spans: list[_SpanScope] = []


class _Export(_Base):
    resource_metrics: list[_ResourceMetrics] | None = None
    resource_logs: list[_ResourceLogs] | None = None
    resource_spans: list[_ResourceSpans] | None = None


def _decoder(of: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(of, strict=False)


_export = _decoder(_Export)
_metric, _loose_metric = _decoder(schema.Metric), _decoder(_Metric)
_log, _span = _decoder(schema.Log), _decoder(schema.Span)
_number, _histogram = _decoder(schema.Number), _decoder(schema.HistogramPoint)
_exponential, _summary = _decoder(schema.ExponentialPoint), _decoder(schema.SummaryPoint)
_temporality, _flag = _decoder(int | str), _decoder(bool)  # type: ignore[arg-type]


def exports(value: bytes, sink: Columns) -> list[schema.Export]:
    """The readable part of a record; the rest is refused on `sink`.

    Raises `BadRecord` if not even the structure around the items can be read, or no item at all.
    """
    try:
        found = _export.decode_lines(value)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    salvage = _Salvage(sink)
    read = [salvage.export(export) for export in found]
    if not salvage.good:
        raise BadRecord(WRONG_TYPE, salvage.first or "no item in it can be read")
    return read


class _Salvage:
    """Counts what could be read, and refuses what could not."""

    def __init__(self, sink: Columns) -> None:
        self.good = 0
        self.first = ""
        self._sink = sink

    def _refuse(self, error: Exception) -> None:
        reason, detail = json_fault(error)
        self.first = self.first or detail
        self._sink.refuse(reason, detail)

    def _items(self, decoder: msgspec.json.Decoder[T], raws: Iterable[Raw]) -> list[T]:
        read = []
        for raw in raws:
            try:
                read.append(decoder.decode(raw))
                self.good += 1
            except UNREADABLE_JSON as error:
                self._refuse(error)
        return read

    def export(self, found: _Export) -> schema.Export:
        """What can be read of one request."""
        metrics, logs, spans = found.resource_metrics, found.resource_logs, found.resource_spans
        return schema.Export(
            None if metrics is None else [self._resource_metrics(part) for part in metrics],
            None
            if logs is None
            else [
                schema.ResourceLogs(
                    part.resource,
                    [schema.LogScope(self._items(_log, scope.log_records)) for scope in part.scope_logs],
                )
                for part in logs
            ],
            None
            if spans is None
            else [
                schema.ResourceSpans(
                    part.resource,
                    [schema.SpanScope(self._items(_span, scope.spans)) for scope in part.scope_spans],
                )
                for part in spans
            ],
        )

    def _resource_metrics(self, part: _ResourceMetrics) -> schema.ResourceMetrics:
        scopes = []
        for scope in part.scope_metrics:
            read = [self._metric(raw) for raw in scope.metrics]
            scopes.append(schema.MetricScope([metric for metric in read if metric is not None]))
        return schema.ResourceMetrics(part.resource, scopes)

    def _metric(self, raw: Raw) -> schema.Metric | None:
        try:
            read = _metric.decode(raw)
        except UNREADABLE_JSON:
            return self._loose(raw)
        self.good += 1
        return read

    def _loose(self, raw: Raw) -> schema.Metric | None:
        try:
            found = _loose_metric.decode(raw)
            metric = schema.Metric(found.name, found.unit)
            if found.gauge is not None:
                metric.gauge = schema.Numbers(self._items(_number, found.gauge.data_points))
            if found.sum is not None:
                how, rising = _temporality.decode(found.sum.aggregation_temporality), found.sum.is_monotonic
                points = self._items(_number, found.sum.data_points)
                metric.sum = schema.Numbers(points, how, _flag.decode(rising))
            if found.histogram is not None:
                how = _temporality.decode(found.histogram.aggregation_temporality)
                points_h = self._items(_histogram, found.histogram.data_points)
                metric.histogram = schema.Histogram(points_h, how)
            if found.exponential_histogram is not None:
                how = _temporality.decode(found.exponential_histogram.aggregation_temporality)
                points_e = self._items(_exponential, found.exponential_histogram.data_points)
                metric.exponential_histogram = schema.Exponential(points_e, how)
            if found.summary is not None:
                metric.summary = schema.Summary(self._items(_summary, found.summary.data_points))
        except UNREADABLE_JSON as error:
            self._refuse(error)
            return None
        return metric
