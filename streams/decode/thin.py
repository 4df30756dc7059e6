"""OTLP messages with everything we do not look at left as bytes.

A field of a message type and a field of type bytes look the same on the wire. Attributes kept as
bytes cost nothing to parse and are the raw key of a series; packed bucket counts and bounds kept
as bytes go to numpy in one step. What is left out altogether (exemplars, span events and links,
scope names) becomes unknown fields, which the parser steps over.

The schema is made from the field numbers of the published protocol (opentelemetry-proto 1.x, where
a number never changes its meaning).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto

_STRING, _BYTES = _F.TYPE_STRING, _F.TYPE_BYTES
_FIXED64, _SFIXED64, _DOUBLE = _F.TYPE_FIXED64, _F.TYPE_SFIXED64, _F.TYPE_DOUBLE
_UINT32, _SINT32, _INT32, _BOOL = _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_INT32, _F.TYPE_BOOL

_Field = tuple[str, int, int | str, str]
"""name, number, scalar type or name of a message here, one of \"\" | repeated | oneof | optional"""

_MESSAGES: dict[str, tuple[_Field, ...]] = {
    "Metrics": (("resource_metrics", 1, "ResourceMetrics", "repeated"),),
    "ResourceMetrics": (("resource", 1, _BYTES, ""), ("scope_metrics", 2, "ScopeMetrics", "repeated")),
    "ScopeMetrics": (("metrics", 2, "Metric", "repeated"),),
    "Metric": (
        ("name", 1, _STRING, ""),
        ("unit", 3, _STRING, ""),
        ("gauge", 5, "Gauge", "oneof"),
        ("sum", 7, "Sum", "oneof"),
        ("histogram", 9, "Histogram", "oneof"),
        ("exponential_histogram", 10, "ExponentialHistogram", "oneof"),
        ("summary", 11, "Summary", "oneof"),
    ),
    "Gauge": (("data_points", 1, "Number", "repeated"),),
    "Sum": (
        ("data_points", 1, "Number", "repeated"),
        ("aggregation_temporality", 2, _INT32, ""),
        ("is_monotonic", 3, _BOOL, ""),
    ),
    "Histogram": (
        ("data_points", 1, "HistogramPoint", "repeated"),
        ("aggregation_temporality", 2, _INT32, ""),
    ),
    "ExponentialHistogram": (
        ("data_points", 1, "ExponentialPoint", "repeated"),
        ("aggregation_temporality", 2, _INT32, ""),
    ),
    "Summary": (("data_points", 1, "SummaryPoint", "repeated"),),
    "Number": (
        ("time_unix_nano", 3, _FIXED64, ""),
        ("as_double", 4, _DOUBLE, "oneof"),
        ("as_int", 6, _SFIXED64, "oneof"),
        ("attributes", 7, _BYTES, "repeated"),
        ("flags", 8, _UINT32, ""),
    ),
    "HistogramPoint": (
        ("time_unix_nano", 3, _FIXED64, ""),
        ("count", 4, _FIXED64, ""),
        ("sum", 5, _DOUBLE, "optional"),
        ("bucket_counts", 6, _BYTES, ""),
        ("explicit_bounds", 7, _BYTES, ""),
        ("attributes", 9, _BYTES, "repeated"),
        ("flags", 10, _UINT32, ""),
    ),
    "Buckets": (("offset", 1, _SINT32, ""), ("bucket_counts", 2, _F.TYPE_UINT64, "repeated")),
    "ExponentialPoint": (
        ("attributes", 1, _BYTES, "repeated"),
        ("time_unix_nano", 3, _FIXED64, ""),
        ("count", 4, _FIXED64, ""),
        ("sum", 5, _DOUBLE, "optional"),
        ("scale", 6, _SINT32, ""),
        ("zero_count", 7, _FIXED64, ""),
        ("positive", 8, "Buckets", ""),
        ("negative", 9, "Buckets", ""),
        ("flags", 10, _UINT32, ""),
    ),
    "Quantile": (("quantile", 1, _DOUBLE, ""), ("value", 2, _DOUBLE, "")),
    "SummaryPoint": (
        ("time_unix_nano", 3, _FIXED64, ""),
        ("count", 4, _FIXED64, ""),
        ("sum", 5, _DOUBLE, ""),
        ("quantile_values", 6, "Quantile", "repeated"),
        ("attributes", 7, _BYTES, "repeated"),
        ("flags", 8, _UINT32, ""),
    ),
    "Logs": (("resource_logs", 1, "ResourceLogs", "repeated"),),
    "ResourceLogs": (("resource", 1, _BYTES, ""), ("scope_logs", 2, "ScopeLogs", "repeated")),
    "ScopeLogs": (("log_records", 2, "LogRecord", "repeated"),),
    "LogRecord": (
        ("time_unix_nano", 1, _FIXED64, ""),
        ("severity_number", 2, _INT32, ""),
        ("severity_text", 3, _STRING, ""),
        ("body", 5, _BYTES, ""),
        ("attributes", 6, _BYTES, "repeated"),
        ("trace_id", 9, _BYTES, ""),
        ("observed_time_unix_nano", 11, _FIXED64, ""),
        ("event_name", 12, _STRING, ""),
    ),
    "Traces": (("resource_spans", 1, "ResourceSpans", "repeated"),),
    "ResourceSpans": (("resource", 1, _BYTES, ""), ("scope_spans", 2, "ScopeSpans", "repeated")),
    "ScopeSpans": (("spans", 2, "Span", "repeated"),),
    "Span": (
        ("trace_id", 1, _BYTES, ""),
        ("span_id", 2, _BYTES, ""),
        ("parent_span_id", 4, _BYTES, ""),
        ("start_time_unix_nano", 7, _FIXED64, ""),
        ("end_time_unix_nano", 8, _FIXED64, ""),
        ("status", 15, "Status", ""),
    ),
    "Status": (("code", 3, _INT32, ""),),
}


def build(
    package: str, messages: Mapping[str, tuple[_Field, ...]], roots: tuple[str, ...]
) -> tuple[Any, ...]:
    """Message classes of the `roots` of a schema given as fields by message name."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        if any(shape == "oneof" for *_, shape in fields):
            message.oneof_decl.add(name="kind")
        for field_name, number, kind, shape in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = _F.LABEL_REPEATED if shape == "repeated" else _F.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = _F.Type.ValueType(kind)
            if shape == "oneof":
                field.oneof_index = 0
        for index, (*_, shape) in enumerate(fields):
            if shape == "optional":  # proto3 says "was it sent at all" with a oneof of one
                message.field[index].proto3_optional = True
                message.field[index].oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{message.field[index].name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in roots
    )


Metrics: Any
Logs: Any
Traces: Any
Metrics, Logs, Traces = build("tocsin.thin", _MESSAGES, ("Metrics", "Logs", "Traces"))
