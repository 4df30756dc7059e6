"""OTLP as JSON: the protobuf messages in their JSON form.

64-bit integers may be strings or numbers, ids are hex in either case, enums numbers or names,
doubles may be "NaN" and "Infinity". Attributes stay raw JSON and are the key of a series.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Raw

from streams.decode import anyvalue, exponential, otlp
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.otlp import NO_RECORDED_VALUE, NS_PER_MS, RowFault
from streams.decode.resource import resolve, series
from streams.records.pages import Kind, Origin

_NOTHING = Raw(b"[]")
_NO_PARENT = bytes(8)


class _Base(msgspec.Struct, rename="camel"):
    pass


class _AnyValue(_Base):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: _Array | None = None
    kvlist_value: _KeyValues | None = None
    bytes_value: str | None = None


class _KeyValue(_Base):
    key: str
    value: _AnyValue = msgspec.field(default_factory=_AnyValue)


class _Array(_Base):
    values: list[_AnyValue] = []


class _KeyValues(_Base):
    values: list[_KeyValue] = []


class _Number(_Base):
    time_unix_nano: int = 0
    as_double: float | None = None
    as_int: int | None = None
    attributes: Raw = _NOTHING
    flags: int = 0


class _HistogramPoint(_Base):
    time_unix_nano: int = 0
    count: int = 0
    sum: float | None = None
    bucket_counts: list[int] = []
    explicit_bounds: list[float] = []
    attributes: Raw = _NOTHING
    flags: int = 0


class _Buckets(_Base):
    offset: int = 0
    bucket_counts: list[int] = []


class _ExponentialPoint(_Base):
    time_unix_nano: int = 0
    sum: float | None = None
    scale: int = 0
    zero_count: int = 0
    positive: _Buckets = msgspec.field(default_factory=_Buckets)
    negative: _Buckets = msgspec.field(default_factory=_Buckets)
    attributes: Raw = _NOTHING
    flags: int = 0


class _Quantile(_Base):
    quantile: float = 0.0
    value: float | None = 0.0


class _SummaryPoint(_Base):
    time_unix_nano: int = 0
    count: int = 0
    sum: float = 0.0
    quantile_values: list[_Quantile] = []
    attributes: Raw = _NOTHING
    flags: int = 0


class _Numbers(_Base):
    data_points: list[_Number] = []
    aggregation_temporality: int | str = 0
    is_monotonic: bool = False


class _Histogram(_Base):
    data_points: list[_HistogramPoint] = []
    aggregation_temporality: int | str = 0


class _Exponential(_Base):
    data_points: list[_ExponentialPoint] = []
    aggregation_temporality: int | str = 0


class _Summary(_Base):
    data_points: list[_SummaryPoint] = []


class _Metric(_Base):
    name: str = ""
    unit: str = ""
    gauge: _Numbers | None = None
    sum: _Numbers | None = None
    histogram: _Histogram | None = None
    exponential_histogram: _Exponential | None = None
    summary: _Summary | None = None


class _Log(_Base):
    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0
    severity_number: int | str = 0
    severity_text: str = ""
    body: _AnyValue | None = None
    attributes: list[_KeyValue] = []
    trace_id: str = ""
    event_name: str = ""


class _Status(_Base):
    code: int | str = 0


class _Span(_Base):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    start_time_unix_nano: int = 0
    status: _Status = msgspec.field(default_factory=_Status)


class _MetricScope(_Base):
    metrics: list[_Metric] = []


class _LogScope(_Base):
    log_records: list[_Log] = []


class _SpanScope(_Base):
    spans: list[_Span] = []


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


class _Resource(_Base):
    attributes: list[_KeyValue] = []


_export = msgspec.json.Decoder(_Export, strict=False)
_resource = msgspec.json.Decoder(_Resource, strict=False)
_attributes = msgspec.json.Decoder(list[_KeyValue], strict=False)


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of one export request, or of several on lines of their own. Raises `BadRecord`."""
    try:
        exports = _export.decode_lines(value)
        for export in exports:
            _take(export, sink)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None


def _take(export: _Export, sink: Columns) -> None:
    if export.resource_metrics is None and export.resource_logs is None and export.resource_spans is None:
        raise BadRecord(UNDECODABLE, "no resourceMetrics, resourceLogs or resourceSpans in it")
    for metrics in export.resource_metrics or ():
        _metrics(metrics, sink)
    for logs in export.resource_logs or ():
        _logs(logs, sink)
    for spans in export.resource_spans or ():
        _spans(spans, sink)


def _plain(value: _AnyValue, depth: int = 0) -> object:
    if depth > anyvalue.MAX_DEPTH:
        return None
    if value.array_value is not None:
        return [_plain(item, depth + 1) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: _plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
    for found in (value.string_value, value.bool_value, value.int_value, value.double_value):
        if found is not None:
            return found
    return value.bytes_value


def _pairs(attributes: list[_KeyValue]) -> list[tuple[str, str]]:
    return [(pair.key, anyvalue.render(_plain(pair.value))) for pair in attributes]


def _sender(raw: Raw, sink: Columns) -> tuple[bytes, int]:
    """Raw key and origin slot of a resource. Raises msgspec's errors."""
    key = b"json:" + bytes(raw)

    def build() -> Origin:
        return resolve(dict(_pairs(_resource.decode(raw).attributes)), sink.catalog.keep)

    return key, sink.catalog.origin(key, build)


def _temporality(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return otlp.TEMPORALITIES.get(value) or (int(value) if value.isdecimal() and len(value) < 3 else 0)


def _metrics(part: _ResourceMetrics, sink: Columns) -> None:
    key, slot = _sender(part.resource, sink)
    sender = sink.catalog.origins.entries[slot]
    for scope in part.scope_metrics:
        for metric in scope.metrics:
            try:
                _Writer(key, sender, metric, sink).write()
            except RowFault as fault:
                sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}", max(1, _size(metric)))


def _size(metric: _Metric) -> int:
    for data in (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary):
        if data is not None:
            return len(data.data_points)
    return 0


class _Writer:
    """Writes the points of one metric of one sender."""

    def __init__(self, raw: bytes, sender: Origin, metric: _Metric, sink: Columns) -> None:
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
                labels = _pairs(_attributes.decode(attributes))
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

    def _numbers(self, data: _Numbers, kind: Kind) -> None:
        sink, name = self.sink, self.metric.name
        group = sink.catalog.group((self.raw, name, self.metric.unit, kind))
        for point in data.data_points:
            number = point.as_double if point.as_double is not None else point.as_int
            if number is None:
                if not point.flags & NO_RECORDED_VALUE:
                    self._refuse(RowFault("a point without a value"))
                continue
            try:
                time = _millis(point.time_unix_nano)
                slot = group.get((bytes(point.attributes), (), ()))
                if slot is None:
                    slot = self._slot(point.attributes, kind, name)
                sink.sample(slot, time, number)
            except RowFault as fault:
                self._refuse(fault)

    def _refuse(self, fault: RowFault) -> None:
        self.sink.refuse(fault.reason, f"metric {self.metric.name}: {fault.detail}")

    def _histograms(self, data: _Histogram) -> None:
        kind = otlp.histogram_kind(_temporality(data.aggregation_temporality))
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                counts, bounds = point.bucket_counts, point.explicit_bounds
                otlp.check_buckets(len(counts), len(bounds))
                time = _millis(point.time_unix_nano)
                slot = self._slot(point.attributes, kind, self.metric.name, tuple(bounds) if counts else ())
                total = math.nan if point.sum is None else point.sum
                self.sink.histogram(slot, time, total, otlp.packed(counts or [point.count]))
            except RowFault as fault:
                self._refuse(fault)

    def _exponentials(self, data: _Exponential) -> None:
        kind = otlp.histogram_kind(_temporality(data.aggregation_temporality))
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                time = _millis(point.time_unix_nano)
                slot = self._slot(point.attributes, kind, self.metric.name, exponential.BOUNDS)
                below = point.zero_count + sum(point.negative.bucket_counts)
                positive = point.positive
                counts = exponential.explicit(point.scale, positive.offset, positive.bucket_counts, below)
                total = math.nan if point.sum is None else point.sum
                self.sink.histogram(slot, time, total, otlp.packed(counts))
            except RowFault as fault:
                self._refuse(fault)

    def _summaries(self, data: _Summary) -> None:
        name = self.metric.name
        for point in data.data_points:
            if point.flags & NO_RECORDED_VALUE:
                continue
            try:
                time = _millis(point.time_unix_nano)
                sink, labels = self.sink, point.attributes
                sink.sample(self._slot(labels, Kind.COUNTER, f"{name}_count"), time, float(point.count))
                sink.sample(self._slot(labels, Kind.COUNTER, f"{name}_sum"), time, point.sum)
                for quantile in point.quantile_values:
                    # NaN, or null as JavaScript writes it: nothing was observed in the window
                    if quantile.value is not None and not math.isnan(quantile.value):
                        label = (("quantile", repr(quantile.quantile)),)
                        slot = self._slot(labels, Kind.GAUGE, name, extra=label)
                        sink.sample(slot, time, quantile.value)
            except RowFault as fault:
                self._refuse(fault)


def _millis(nanos: int) -> int:
    """Raises `RowFault` for a time that is missing or no 64-bit number."""
    if not 0 < nanos < 2**64:
        raise RowFault(f"a point needs a time, not {nanos}" if nanos else "a point without a time")
    return nanos // NS_PER_MS


def _logs(part: _ResourceLogs, sink: Columns) -> None:
    _, origin = _sender(part.resource, sink)
    for scope in part.scope_logs:
        for record in scope.log_records:
            nanos = record.time_unix_nano or record.observed_time_unix_nano
            if not 0 <= nanos < 2**64:
                sink.refuse(WRONG_TYPE, f"a log record's time must be a 64-bit number, not {nanos}")
                continue
            found = dict(_pairs([a for a in record.attributes if a.key.startswith("exception.")]))
            body = anyvalue.render(_plain(record.body)) if record.body is not None else ""
            trace = record.trace_id.lower()
            sink.log(
                origin,
                nanos // NS_PER_MS if nanos else sink.reference_ms,
                _severity(record),
                otlp.body_of(body, record.event_name, found.get("exception.message", "")),
                trace if len(trace) == 32 and trace.strip("0") else "",
                found.get("exception.type", ""),
            )


def _severity(record: _Log) -> int:
    number = record.severity_number
    if isinstance(number, int):
        return otlp.severity_number(number, record.severity_text)
    if number.isdecimal() and len(number) < 3:
        return otlp.severity_number(int(number), record.severity_text)
    return otlp.severity_number(0, number.removeprefix("SEVERITY_NUMBER_") or record.severity_text)


def _spans(part: _ResourceSpans, sink: Columns) -> None:
    _, origin = _sender(part.resource, sink)
    for scope in part.scope_spans:
        for span in scope.spans:
            try:
                trace, own = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
                parent = bytes.fromhex(span.parent_span_id) or _NO_PARENT
                start = _millis(span.start_time_unix_nano)
            except ValueError as error:
                sink.refuse(WRONG_TYPE, f"a span's ids must be hex and its start a time: {error}")
                continue
            if len(trace) != 16 or len(own) != 8 or len(parent) != 8:
                sink.refuse(WRONG_TYPE, "a span needs a trace id of 16 bytes and span ids of 8")
                continue
            failed = span.status.code in (otlp.STATUS_ERROR, "STATUS_CODE_ERROR", "2")
            sink.span(origin, start, trace, own, parent, failed)
