"""OTLP as protobuf: export requests for metrics, logs and traces, as the Collector writes them to Kafka."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from streams.decode import anyvalue, exponential, otlp, thin, wire
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, WRONG_TYPE, BadRecord
from streams.decode.look import Look
from streams.decode.otlp import NO_RECORDED_VALUE, NS_PER_MS, RowFault
from streams.decode.resource import resolve, series
from streams.records.pages import Kind, Origin

_NO_PARENT = bytes(8)


def claims(look: Look) -> bool:
    """One signal, beyond doubt."""
    return len(look.signals) == 1


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of an export request of whichever signal. Raises `BadRecord`."""
    try:
        found = wire.signals(value)
    except wire.Malformed as error:
        raise BadRecord(UNDECODABLE, f"not an OTLP export request: {error}") from None
    if found == wire.SIGNALS:
        return  # an export without any item
    if len(found) != 1:
        raise BadRecord(
            UNDECODABLE, "an OTLP export request that is neither metrics nor logs nor traces beyond doubt"
        )
    try:
        _DECODE[found.pop()](value, sink)
    except DecodeError as error:
        raise BadRecord(UNDECODABLE, f"broken protobuf: {error}"[:300]) from None


def sender(raw: bytes, sink: Columns) -> int:
    """Origin slot of a resource. Raises protobuf's DecodeError."""

    def build() -> Origin:
        resource = Resource.FromString(raw)
        return resolve(
            {pair.key: anyvalue.text(pair.value) for pair in resource.attributes}, sink.catalog.rules
        )

    return sink.catalog.origin(raw, build)


def metrics(value: bytes, sink: Columns) -> None:
    """An ExportMetricsServiceRequest. Raises protobuf's DecodeError."""
    for part in thin.Metrics.FromString(value).resource_metrics:
        raw = part.resource
        origin = sink.catalog.origins.entries[sender(raw, sink)]
        for scope in part.scope_metrics:
            for metric in scope.metrics:
                which = metric.WhichOneof("kind")
                if which is None:
                    continue  # a metric without data
                data = getattr(metric, which)
                try:
                    _POINTS[which](raw, origin, metric, data, sink)
                except RowFault as fault:
                    sink.refuse(
                        fault.reason, f"metric {metric.name}: {fault.detail}", max(1, len(data.data_points))
                    )


class Group:
    """Slots of one metric of one sender. A view on the catalog, of no use once that has forgotten."""

    __slots__ = ("_catalog", "_head", "_known", "_origin", "get")

    def __init__(
        self, raw: bytes, origin: Origin, name: str, unit: str, kind: Kind, catalog: Catalog
    ) -> None:
        if not name:
            raise RowFault("a metric must have a name")
        self._known = catalog.group((raw, name, unit, kind))
        self.get = self._known.get
        self._head = (name, unit, kind)
        self._origin = origin
        self._catalog = catalog

    def add(
        self,
        key: object,
        attributes: Any,
        bounds: tuple[float, ...] = (),
        extra: tuple[tuple[str, str], ...] = (),
    ) -> int:
        """Slot of a series seen for the first time. Raises `RowFault` for unreadable attributes."""
        try:
            labels = anyvalue.pairs(attributes)
        except DecodeError as error:
            raise RowFault(f"unreadable attributes: {error}", UNDECODABLE) from None
        name, unit, kind = self._head
        catalog = self._catalog
        described = series(self._origin, name, (*labels, *extra), unit, kind, catalog.max_labels, bounds)
        return catalog.add_series(self._known, key, described)


def number_slot(group: Group, attributes: Any) -> int:
    """Slot of a gauge's or sum's series. Raises `RowFault` for unreadable attributes."""
    key = tuple(attributes)
    slot = group.get(key)
    return group.add(key, attributes) if slot is None else slot


def histogram_slot(group: Group, edges: bytes, attributes: Any) -> int:
    """Slot of a histogram's series; `edges`: its bounds, packed. Raises `RowFault` if one is unreadable."""
    key = (edges, *attributes)
    slot = group.get(key)
    if slot is None:
        bounds = otlp.checked_bounds(tuple(np.frombuffer(edges, dtype="<f8").tolist()))
        slot = group.add(key, attributes, bounds)
    return slot


def _numbers(raw: bytes, origin: Origin, metric: Any, points: Any, kind: Kind, sink: Columns) -> None:
    group = Group(raw, origin, metric.name, metric.unit, kind, sink.catalog)
    find = group.get
    add_slot, add_ts, add_value = sink.slot.append, sink.ts.append, sink.value.append
    for point in points:
        number = point.as_double
        # An unset double reads as zero: only then is it worth asking what was sent.
        if number == 0.0:
            sent = point.WhichOneof("kind")
            if sent == "as_int":
                number = float(point.as_int)
            elif sent is None:
                if not point.flags & NO_RECORDED_VALUE:
                    sink.refuse(WRONG_TYPE, f"metric {metric.name}: a point without a value")
                continue
        time = point.time_unix_nano
        if not time:
            sink.refuse(WRONG_TYPE, f"metric {metric.name}: a point without a time")
            continue
        attributes = point.attributes
        key = tuple(attributes)
        slot = find(key)
        if slot is None:
            try:
                slot = group.add(key, attributes)
            except RowFault as fault:
                sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}")
                continue
        add_slot(slot)
        add_ts(time // NS_PER_MS)
        add_value(number)


def _gauge(raw: bytes, origin: Origin, metric: Any, data: Any, sink: Columns) -> None:
    _numbers(raw, origin, metric, data.data_points, Kind.GAUGE, sink)


def _sum(raw: bytes, origin: Origin, metric: Any, data: Any, sink: Columns) -> None:
    kind = otlp.sum_kind(data.aggregation_temporality, data.is_monotonic)
    _numbers(raw, origin, metric, data.data_points, kind, sink)


def _usable(point: Any) -> bool:
    """False for a point that says nothing was measured. Raises `RowFault` without a time."""
    if point.flags & NO_RECORDED_VALUE:
        return False
    if not point.time_unix_nano:
        raise RowFault("a point without a time")
    return True


def _numbers_in(packed: bytes) -> int:
    """How many 8-byte numbers these bytes hold. Raises `RowFault` if it is no whole number of them."""
    if len(packed) % 8:
        raise RowFault("buckets that are no list of 64-bit numbers")
    return len(packed) // 8


def _histogram(raw: bytes, origin: Origin, metric: Any, data: Any, sink: Columns) -> None:
    kind = otlp.histogram_kind(data.aggregation_temporality)
    group = Group(raw, origin, metric.name, metric.unit, kind, sink.catalog)
    for point in data.data_points:
        try:
            if not _usable(point):
                continue
            packed, edges = point.bucket_counts, point.explicit_bounds
            otlp.check_buckets(_numbers_in(packed), _numbers_in(edges))
            # Without counts there is one bucket, whatever bounds were sent.
            slot = histogram_slot(group, edges if packed else b"", point.attributes)
            total = point.sum if point.HasField("sum") else math.nan
            counts = packed or otlp.packed([point.count])
            sink.histogram(slot, point.time_unix_nano // NS_PER_MS, total, counts)
        except RowFault as fault:
            sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}")


def _exponential(raw: bytes, origin: Origin, metric: Any, data: Any, sink: Columns) -> None:
    kind = otlp.histogram_kind(data.aggregation_temporality)
    group = Group(raw, origin, metric.name, metric.unit, kind, sink.catalog)
    for point in data.data_points:
        try:
            if not _usable(point):
                continue
            attributes = point.attributes
            key = tuple(attributes)
            slot = group.get(key)
            if slot is None:
                slot = group.add(key, attributes, exponential.BOUNDS)
            below = point.zero_count + sum(point.negative.bucket_counts)
            positive = point.positive
            counts = exponential.explicit(point.scale, positive.offset, positive.bucket_counts, below)
            total = point.sum if point.HasField("sum") else math.nan
            sink.histogram(slot, point.time_unix_nano // NS_PER_MS, total, otlp.packed(counts))
        except RowFault as fault:
            sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}")


def _summary(raw: bytes, origin: Origin, metric: Any, data: Any, sink: Columns) -> None:
    gauges = Group(raw, origin, metric.name, metric.unit, Kind.GAUGE, sink.catalog)
    counts = Group(raw, origin, f"{metric.name}_count", "", Kind.COUNTER, sink.catalog)
    sums = Group(raw, origin, f"{metric.name}_sum", metric.unit, Kind.COUNTER, sink.catalog)

    def add(group: Group, key: Any, ts: int, number: float, extra: tuple[tuple[str, str], ...] = ()) -> None:
        slot = group.get(key)
        if slot is None:
            slot = group.add(key, point.attributes, extra=extra)
        sink.sample(slot, ts, number)

    for point in data.data_points:
        try:
            if not _usable(point):
                continue
            key, ts = tuple(point.attributes), point.time_unix_nano // NS_PER_MS
            add(counts, key, ts, float(point.count))
            add(sums, key, ts, point.sum)
            for quantile in point.quantile_values:
                if not math.isnan(quantile.value):  # nothing was observed in the window
                    label = (("quantile", repr(quantile.quantile)),)
                    add(gauges, (quantile.quantile, *key), ts, quantile.value, label)
        except RowFault as fault:
            sink.refuse(fault.reason, f"metric {metric.name}: {fault.detail}")


_POINTS = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def logs(value: bytes, sink: Columns) -> None:
    """An ExportLogsServiceRequest. Raises protobuf's DecodeError."""
    for part in thin.Logs.FromString(value).resource_logs:
        origin = sender(part.resource, sink)
        for scope in part.scope_logs:
            for record in scope.log_records:
                nanos = record.time_unix_nano or record.observed_time_unix_nano
                ts = nanos // NS_PER_MS if nanos else sink.reference_ms
                found: dict[str, str] = {}
                for raw in record.attributes:
                    if b"exception." in raw:
                        found.update(anyvalue.pairs([raw]))
                body = anyvalue.text(AnyValue.FromString(record.body))
                trace = record.trace_id
                sink.log(
                    origin,
                    ts,
                    otlp.severity_number(record.severity_number, record.severity_text),
                    otlp.body_of(body, record.event_name, found.get("exception.message", "")),
                    trace.hex() if len(trace) == 16 and any(trace) else "",
                    found.get("exception.type", ""),
                )


def traces(value: bytes, sink: Columns) -> None:
    """An ExportTraceServiceRequest. Raises protobuf's DecodeError."""
    for part in thin.Traces.FromString(value).resource_spans:
        origin = sender(part.resource, sink)
        for scope in part.scope_spans:
            for span in scope.spans:
                trace, own = span.trace_id, span.span_id
                # A span is sent when it ends: by its start a long one would be late.
                time = span.end_time_unix_nano or span.start_time_unix_nano
                parent = span.parent_span_id or _NO_PARENT
                if len(trace) != 16 or len(own) != 8 or len(parent) != 8 or not time:
                    sink.refuse(WRONG_TYPE, "a span needs a trace id of 16 bytes, span ids of 8, and a time")
                    continue
                failed = span.status.code == otlp.STATUS_ERROR
                sink.span(origin, time // NS_PER_MS, trace, own, parent, failed)


_DECODE = {wire.METRICS: metrics, wire.LOGS: logs, wire.TRACES: traces}
