"""The messages of OTLP in their JSON form, as far as we look at them.

Attributes and resources stay raw: their bytes are the key under which a series or a sender is known.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

NOTHING = Raw(b"[]")


class Base(msgspec.Struct, rename="camel"):
    pass


class AnyValue(Base):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: Array | None = None
    kvlist_value: KeyValues | None = None
    bytes_value: str | None = None


class KeyValue(Base):
    key: str
    value: AnyValue = msgspec.field(default_factory=AnyValue)


class Array(Base):
    values: list[AnyValue] = []


class KeyValues(Base):
    values: list[KeyValue] = []


class Number(Base):
    time_unix_nano: int = 0
    as_double: float | None = None
    as_int: int | None = None
    attributes: Raw = NOTHING
    flags: int = 0


class HistogramPoint(Base):
    time_unix_nano: int = 0
    count: int = 0
    sum: float | None = None
    bucket_counts: list[int] = []
    explicit_bounds: list[float] = []
    attributes: Raw = NOTHING
    flags: int = 0


class Buckets(Base):
    offset: int = 0
    bucket_counts: list[int] = []


class ExponentialPoint(Base):
    time_unix_nano: int = 0
    sum: float | None = None
    scale: int = 0
    zero_count: int = 0
    positive: Buckets = msgspec.field(default_factory=Buckets)
    negative: Buckets = msgspec.field(default_factory=Buckets)
    attributes: Raw = NOTHING
    flags: int = 0


class Quantile(Base):
    quantile: float = 0.0
    value: float | None = 0.0


class SummaryPoint(Base):
    time_unix_nano: int = 0
    count: int = 0
    sum: float = 0.0
    quantile_values: list[Quantile] = []
    attributes: Raw = NOTHING
    flags: int = 0


class Numbers(Base):
    data_points: list[Number] = []
    aggregation_temporality: int | str = 0
    is_monotonic: bool = False


class Histogram(Base):
    data_points: list[HistogramPoint] = []
    aggregation_temporality: int | str = 0


class Exponential(Base):
    data_points: list[ExponentialPoint] = []
    aggregation_temporality: int | str = 0


class Summary(Base):
    data_points: list[SummaryPoint] = []


class Metric(Base):
    name: str = ""
    unit: str = ""
    gauge: Numbers | None = None
    sum: Numbers | None = None
    histogram: Histogram | None = None
    exponential_histogram: Exponential | None = None
    summary: Summary | None = None


class Log(Base):
    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0
    severity_number: int | str = 0
    severity_text: str = ""
    body: AnyValue | None = None
    attributes: list[KeyValue] = []
    trace_id: str = ""
    event_name: str = ""


class Status(Base):
    code: int | str = 0


class Span(Base):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    start_time_unix_nano: int = 0
    end_time_unix_nano: int = 0
    status: Status = msgspec.field(default_factory=Status)


class MetricScope(Base):
    metrics: list[Metric] = []


class LogScope(Base):
    log_records: list[Log] = []


class SpanScope(Base):
    spans: list[Span] = []


class ResourceMetrics(Base):
    resource: Raw = Raw(b"{}")
    scope_metrics: list[MetricScope] = []


class ResourceLogs(Base):
    resource: Raw = Raw(b"{}")
    scope_logs: list[LogScope] = []


class ResourceSpans(Base):
    resource: Raw = Raw(b"{}")
    scope_spans: list[SpanScope] = []


class Export(Base):
    resource_metrics: list[ResourceMetrics] | None = None
    resource_logs: list[ResourceLogs] | None = None
    resource_spans: list[ResourceSpans] | None = None


class Resource(Base):
    attributes: list[KeyValue] = []
