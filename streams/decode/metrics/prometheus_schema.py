"""Prometheus remote write, 1.0 and 2.0, as one thin schema: their field numbers do not overlap.

Series of 1.0 are kept as bytes, and so are their labels: they cost nothing to parse and are raw keys. Help
texts, exemplars and created timestamps are left out, i.e. stepped over.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2

from streams.decode import thin

_F = descriptor_pb2.FieldDescriptorProto
_STRING, _BYTES, _DOUBLE = _F.TYPE_STRING, _F.TYPE_BYTES, _F.TYPE_DOUBLE
_INT32, _INT64, _UINT32, _UINT64 = _F.TYPE_INT32, _F.TYPE_INT64, _F.TYPE_UINT32, _F.TYPE_UINT64
_SINT32, _SINT64 = _F.TYPE_SINT32, _F.TYPE_SINT64

Write: Any
TimeSeries: Any
Label: Any
Write, TimeSeries, Label = thin.build(
    "tocsin.prometheus",
    {
        "Write": (
            ("timeseries", 1, _BYTES, "repeated"),
            ("metadata", 3, "Metadata", "repeated"),
            ("symbols", 4, _STRING, "repeated"),
            ("timeseries_2", 5, "TimeSeries2", "repeated"),
        ),
        "TimeSeries": (
            ("labels", 1, _BYTES, "repeated"),
            ("samples", 2, "Sample", "repeated"),
            ("histograms", 4, "Histogram", "repeated"),
        ),
        "TimeSeries2": (
            ("labels", 1, _UINT32, "repeated"),
            ("samples", 2, "Sample", "repeated"),
            ("histograms", 3, "Histogram", "repeated"),
            ("metadata", 5, "Metadata2", ""),
        ),
        "Label": (("name", 1, _STRING, ""), ("value", 2, _STRING, "")),
        "Sample": (("value", 1, _DOUBLE, ""), ("timestamp", 2, _INT64, "")),
        "Metadata": (("type", 1, _INT32, ""), ("family", 2, _STRING, ""), ("unit", 5, _STRING, "")),
        "Metadata2": (("type", 1, _INT32, ""), ("unit", 4, _UINT32, "")),
        "Histogram": (
            ("count_float", 2, _DOUBLE, "optional"),
            ("sum", 3, _DOUBLE, ""),
            ("schema", 4, _SINT32, ""),
            ("zero_count", 6, _UINT64, ""),
            ("negative_spans", 8, "Span", "repeated"),
            ("negative_deltas", 9, _SINT64, "repeated"),
            ("positive_spans", 11, "Span", "repeated"),
            ("positive_deltas", 12, _SINT64, "repeated"),
            ("reset_hint", 14, _INT32, ""),
            ("timestamp", 15, _INT64, ""),
            ("custom_values", 16, _DOUBLE, "repeated"),
        ),
        "Span": (("offset", 1, _SINT32, ""), ("length", 2, _UINT32, "")),
    },
    ("Write", "TimeSeries", "Label"),
)
