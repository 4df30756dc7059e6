"""OTLP, protobuf and JSON, from the bytes of real producers to rows."""

from __future__ import annotations

import json
import math
import time

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from streams.records.pages import Kind, Series
from tests.decode import producers
from tests.decode.support import T0, Read, core, decode, read, record, settings

FORMATS = ("otlp", "otlp-json", "auto")


def encoded(message: Message, wire_format: str) -> bytes:
    return producers.as_json(message) if wire_format == "otlp-json" else message.SerializeToString()


def now() -> int:
    return time.time_ns() // 1_000_000


def read_metrics(wire_format: str, delta: bool = False) -> Read:
    return decode(encoded(producers.metrics(delta), wire_format), wire_format, now())


def one(found: Read, metric: str) -> Series:
    (series,) = found.named(metric)
    return series


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_cumulative_monotonic_sum_is_a_counter_per_label_set(wire_format: str) -> None:
    """Two label sets are two series, with attributes and instance as their identity."""
    found = read_metrics(wire_format)
    series = found.named("http.server.requests")
    assert {s.labels for s in series} == {
        (("http.route", "/pay"), ("instance", "checkout-0"), ("status", status)) for status in ("200", "500")
    }
    assert {s.kind for s in series} == {Kind.COUNTER}
    assert {s.unit for s in series} == {"{request}"}
    assert sorted(value for _, value in found.by_name()["http.server.requests"]) == [2.0, 3.0]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_resource_attributes_become_context_and_not_identity(wire_format: str) -> None:
    """Host, zone, environment and version go along with the series without being part of its labels."""
    series = one(read_metrics(wire_format), "queue.depth")
    assert series.service == "checkout"
    assert dict(series.resource) == {"host": "node-7", "zone": "eu-1a", "env": "prod", "version": "1.4.2"}
    assert series.labels == (("instance", "checkout-0"),)


@pytest.mark.parametrize("wire_format", FORMATS)
def test_an_up_down_counter_is_a_level(wire_format: str) -> None:
    """A sum that may fall is read as a gauge."""
    found = read_metrics(wire_format)
    assert one(found, "queue.depth").kind == Kind.GAUGE
    assert [value for _, value in found.by_name()["queue.depth"]] == [-4.0]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_gauge_keeps_its_value_unit_and_labels(wire_format: str) -> None:
    """Numbers in attributes become text."""
    found = read_metrics(wire_format)
    series = one(found, "cpu.used")
    assert (series.kind, series.unit, dict(series.labels)["core"]) == (Kind.GAUGE, "1", "0")
    assert [value for _, value in found.by_name()["cpu.used"]] == [0.25]


@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize(("delta", "kind"), [(False, Kind.HISTOGRAM), (True, Kind.HISTOGRAM_DELTA)])
def test_a_histogram_keeps_its_buckets_bounds_and_sum(wire_format: str, delta: bool, kind: Kind) -> None:
    """One count more than bounds; all observations are in some bucket."""
    found = read_metrics(wire_format, delta)
    series = one(found, "http.server.duration")
    assert series.kind == kind
    assert series.bounds[:3] == (0.0, 5.0, 10.0)
    ((total, counts),) = [(total, counts) for fp, _, total, counts in found.histograms if fp == series.fp]
    assert total == 12_068.0
    assert len(counts) == len(series.bounds) + 1
    assert sum(counts) == 5
    assert counts[series.bounds.index(25.0) + 1] == 2  # the two of 30 lie in (25, 50]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_an_exponential_histogram_gets_fixed_bounds_without_losing_an_observation(wire_format: str) -> None:
    """Every observation lies in the bucket of the ladder that holds its value."""
    found = read_metrics(wire_format)
    series = one(found, "payload.size")
    ((total, counts),) = [(total, counts) for fp, _, total, counts in found.histograms if fp == series.fp]
    assert total == 12_068.0
    assert sum(counts) == 5
    top = max(i for i, count in enumerate(counts) if count)
    assert series.bounds[top - 1] < 12_000 <= series.bounds[top]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_delta_sum_says_so(wire_format: str) -> None:
    """Delta temporality is kept as the series' kind."""
    assert {s.kind for s in read_metrics(wire_format, True).named("http.server.requests")} == {Kind.DELTA}


def test_protobuf_and_json_give_the_same_rows() -> None:
    """The encoding makes no difference to series, fingerprints, times and values."""
    for delta in (False, True):
        by_protobuf, by_json = read_metrics("otlp", delta), read_metrics("otlp-json", delta)
        assert by_protobuf.rows() == by_json.rows()
        assert by_protobuf.series == by_json.series


def test_json_with_enum_names_is_read_like_json_with_numbers() -> None:
    """Both forms of an enum that protobuf's JSON allows."""
    for message in (producers.metrics(), producers.metrics(True), producers.logs(), producers.traces()):
        ts = T0 if message is producers.logs() else now()
        by_number = decode(producers.as_json(message, numbers=True), "otlp-json", ts)
        by_name = decode(producers.as_json(message, numbers=False), "otlp-json", ts)
        assert by_number.rows()
        assert by_number.rows() == by_name.rows()


@pytest.mark.parametrize("wire_format", FORMATS)
def test_log_records_keep_time_severity_body_and_exception(wire_format: str) -> None:
    """A structured body becomes JSON with sorted keys."""
    found = decode(encoded(producers.logs(), wire_format), wire_format)
    (plain, failed) = found.logs
    assert plain[1:4] == (1_700_000_000_123, 9, "started")
    assert failed[1:] == (1_700_000_000_456, 17, '{"msg":"declined","order":7}', "", "CardError")
    assert plain[0].service == "checkout"
    assert plain[0].instance == "checkout-0"


@pytest.mark.parametrize("wire_format", FORMATS)
def test_spans_keep_parent_and_failure(wire_format: str) -> None:
    """A root has a parent id of zeros; the failed child points to the root."""
    found = decode(encoded(producers.traces(), wire_format), wire_format, now())
    by_failed = {failed: (trace, span, parent) for _, _, trace, span, parent, failed in found.spans}
    assert by_failed[1][2] == by_failed[0][1]
    assert by_failed[0][2] == bytes(8)
    assert by_failed[0][0] == by_failed[1][0]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_span_counts_at_its_end(wire_format: str) -> None:
    """It is sent when it ends: a request of a minute must not be late."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        start_time_unix_nano=(T0 - 60_000) * 1_000_000,
        end_time_unix_nano=T0 * 1_000_000,
    )
    assert [ts for _, ts, *_ in decode(encoded(request, wire_format), wire_format).spans] == [T0]


def test_json_ids_may_be_upper_case() -> None:
    """Hex digits in either case are the same id."""
    raw = json.loads(producers.as_json(producers.traces()))
    spans = raw["resourceSpans"][0]["scopeSpans"][0]["spans"]
    lower = decode(json.dumps(raw), "otlp-json", now())
    for span in spans:
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in span:
                span[key] = span[key].upper()
    assert decode(json.dumps(raw), "otlp-json", now()).rows() == lower.rows()


def number_request(*points: NumberDataPoint, name: str = "m", **metric: object) -> bytes:
    request = ExportMetricsServiceRequest()
    part = request.resource_metrics.add()
    part.resource.attributes.add(key="service.name").value.string_value = "s"
    built = part.scope_metrics.add().metrics.add(name=name, **metric)
    built.gauge.data_points.extend(points)
    return request.SerializeToString()


def point(value: float, ms: int = T0, **attributes: AnyValue) -> NumberDataPoint:
    return NumberDataPoint(
        time_unix_nano=ms * 1_000_000,
        as_double=value,
        attributes=[KeyValue(key=key, value=found) for key, found in attributes.items()],
    )


def test_a_bad_point_is_refused_without_its_neighbours() -> None:
    """NaN, no time, no value: counted in one dead letter a reason; the good point passes."""
    nameless = NumberDataPoint(time_unix_nano=T0 * 1_000_000)
    found = decode(number_request(point(1.0), point(math.nan), point(2.0, 0), nameless), "otlp")
    assert [value for *_, value in found.samples] == [1.0]
    assert {letter.reason: letter.rows for letter in found.letters} == {"wrong-type": 2, "non-finite": 1}
    assert all(
        letter.value == number_request(point(1.0), point(math.nan), point(2.0, 0), nameless)
        for letter in found.letters
    )


def test_a_point_without_recorded_value_is_not_a_fault() -> None:
    """The flag says that nothing was measured."""
    found = decode(number_request(NumberDataPoint(time_unix_nano=T0 * 1_000_000, flags=1)), "otlp")
    assert not found.samples
    assert not found.letters


def test_a_zero_sent_as_double_or_as_integer_is_a_value() -> None:
    """Zero is not the absence of a value."""
    zero = NumberDataPoint(time_unix_nano=T0 * 1_000_000, as_int=0)
    found = decode(number_request(point(0.0), zero), "otlp")
    assert [value for *_, value in found.samples] == [0.0, 0.0]


def test_structured_attributes_become_stable_text() -> None:
    """Lists, maps, bytes, booleans and doubles have one text form each."""
    values = {
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="b")])),
        "map": AnyValue(
            kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(bool_value=True))])
        ),
        "raw": AnyValue(bytes_value=b"\x01\xff"),
        "flag": AnyValue(bool_value=False),
        "half": AnyValue(double_value=0.5),
    }
    (series,) = decode(number_request(point(1.0, **values)), "otlp").series.values()
    assert dict(series.labels) == {
        "list": '[1,"b"]', "map": '{"k":true}', "raw": "01ff", "flag": "false", "half": "0.5",
    }  # fmt: skip


def test_attribute_order_does_not_change_the_series() -> None:
    """Identity is the sorted labels, though the raw bytes differ."""
    a, b = AnyValue(string_value="1"), AnyValue(string_value="2")
    found = decode(number_request(point(1.0, a=a, b=b), point(2.0, b=b, a=a)), "otlp")
    assert len({fp for _, fp, _, _ in found.samples}) == 1


def test_labels_beyond_the_cap_are_left_out_in_name_order() -> None:
    """A producer cannot make a series of unbounded width."""
    many = {f"k{i:02}": AnyValue(int_value=i) for i in range(10)}
    (series,) = decode(number_request(point(1.0, **many)), "otlp", max_sample_labels=3).series.values()
    assert [name for name, _ in series.labels] == ["k00", "k01", "k02"]


def test_a_summary_becomes_a_gauge_per_quantile_and_two_counters() -> None:
    """Quantiles without observations (NaN) are left out."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="rpc")
    made = metric.summary.data_points.add(time_unix_nano=T0 * 1_000_000, count=9, sum=4.5)
    made.quantile_values.add(quantile=0.5, value=0.4)
    made.quantile_values.add(quantile=0.99, value=math.nan)
    for value, wire_format in (
        (request.SerializeToString(), "otlp"),
        (producers.as_json(request), "otlp-json"),
    ):
        found = decode(value, wire_format)
        assert not found.letters
        assert found.by_name() == {"rpc": [(T0, 0.4)], "rpc_count": [(T0, 9.0)], "rpc_sum": [(T0, 4.5)]}
        assert found.named("rpc")[0].labels == (("quantile", "0.5"),)
        assert {found.named(name)[0].kind for name in ("rpc_count", "rpc_sum")} == {Kind.COUNTER}


@pytest.mark.parametrize(
    ("counts", "bounds"), [([1, 2], [1.0, 2.0]), ([1, 2, 3], [2.0, 1.0]), ([1, 2, 3], [1.0, math.inf])]
)
def test_buckets_that_do_not_fit_their_bounds_are_refused(counts: list[int], bounds: list[float]) -> None:
    """The number of buckets, their order and their finiteness are checked."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.histogram.aggregation_temporality = 2
    metric.histogram.data_points.add(
        time_unix_nano=T0 * 1_000_000, bucket_counts=counts, explicit_bounds=bounds
    )
    found = decode(request.SerializeToString(), "otlp")
    assert not found.histograms
    assert [letter.reason for letter in found.letters] == ["wrong-type"]


@pytest.mark.parametrize("count", [-1, 2**64])
def test_a_bucket_count_out_of_range_is_refused(count: int) -> None:
    """JSON can say what protobuf cannot."""
    point = {"timeUnixNano": T0 * 1_000_000, "bucketCounts": [1, count], "explicitBounds": [1.0]}
    histogram = {"aggregationTemporality": 2, "dataPoints": [point]}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "h", "histogram": histogram}]}]}]}
    assert [letter.reason for letter in decode(body, "otlp-json").letters] == ["wrong-type"]


def test_a_histogram_without_buckets_is_a_count_and_a_sum() -> None:
    """Only count and sum: a single bucket, no bounds."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.histogram.aggregation_temporality = 1
    metric.histogram.data_points.add(time_unix_nano=T0 * 1_000_000, count=7)
    found = decode(request.SerializeToString(), "otlp")
    ((_, _, total, counts),) = found.histograms
    assert counts == (7.0,)
    assert math.isnan(total)


def test_a_sum_without_temporality_is_refused_with_all_its_points() -> None:
    """It cannot be read as anything without guessing."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="s")
    metric.sum.data_points.extend([point(1.0), point(2.0)])
    found = decode(request.SerializeToString(), "otlp")
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 2)]


def test_an_export_without_items_is_no_fault() -> None:
    """Producers send empty batches."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().resource.attributes.add(key="service.name").value.string_value = "s"
    assert not decode(request.SerializeToString(), "otlp").letters


def test_json_numbers_may_be_strings_and_not_a_number_is_refused() -> None:
    """Strings for 64-bit integers and for NaN, as the protocol's JSON form has them."""
    points = [
        {"timeUnixNano": str(T0 * 1_000_000), "asInt": "42"},
        {"timeUnixNano": T0 * 1_000_000, "asDouble": "NaN"},
        {"timeUnixNano": T0 * 1_000_000, "asDouble": 1.5, "unknownField": {"x": []}},
    ]
    body = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": points}}]}]}]
    }
    found = decode(body, "otlp-json")
    assert [value for *_, value in found.samples] == [42.0, 1.5]
    assert [letter.reason for letter in found.letters] == ["non-finite"]


def test_a_metric_named_like_a_trace_id_is_still_a_metric() -> None:
    """A name of 16 and a description of 8 characters look like a span's ids, but a span has a start."""
    found = decode(number_request(point(1.0), name="sixteen-letters!", description="8letters"), "auto")
    assert [series.metric for series in found.series.values()] == ["sixteen-letters!"]


def test_unknown_fields_of_a_later_protocol_are_stepped_over() -> None:
    """A field we do not know, at the top of the request, does no harm."""
    found = decode(number_request(point(1.0)) + b"\xca\x3e\x03abc", "otlp")  # field 1001, three bytes
    assert [value for *_, value in found.samples] == [1.0]


def _with_fault(message: Message, *path: str | int, value: object) -> bytes:
    root = node = json.loads(producers.as_json(message))
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return json.dumps(root).encode()


def test_a_wrong_typed_point_in_json_is_refused_without_its_neighbours() -> None:
    """The record is read again item by item."""
    metrics = json.loads(producers.as_json(producers.metrics()))["resourceMetrics"][0]["scopeMetrics"][0][
        "metrics"
    ]
    (index,) = [i for i, metric in enumerate(metrics) if metric["name"] == "http.server.requests"]
    path = ("resourceMetrics", 0, "scopeMetrics", 0, "metrics", index, "sum", "dataPoints", 0, "asInt")
    whole = read_metrics("otlp-json")
    raw = _with_fault(producers.metrics(), *path[:-1], value={"asDouble": "high", "timeUnixNano": "5"})
    found = decode(raw, "otlp-json", now())
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 1)]
    assert len(found.samples) == len(whole.samples) - 1
    assert len(found.histograms) == len(whole.histograms)


def test_a_metric_with_a_wrong_head_in_json_is_refused_without_its_neighbours() -> None:
    """Its name is no text; the other metrics pass."""
    path = ("resourceMetrics", 0, "scopeMetrics", 0, "metrics", 0, "name")
    found = decode(_with_fault(producers.metrics(), *path, value=[1]), "otlp-json", now())
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 1)]
    assert found.samples
    assert found.histograms


def test_a_wrong_typed_log_record_in_json_is_refused_without_its_neighbours() -> None:
    """One of two lines."""
    path = ("resourceLogs", 0, "scopeLogs", 0, "logRecords", 0, "severityText")
    found = decode(_with_fault(producers.logs(), *path, value=7.5), "otlp-json")
    assert len(found.logs) == 1
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 1)]


def test_json_of_which_nothing_can_be_read_is_refused_as_a_whole() -> None:
    """`rows` 0 says that nothing of it was used."""
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "soon"}]}]}]}
    assert [(letter.reason, letter.rows) for letter in decode(body, "otlp-json").letters] == [
        ("wrong-type", 0)
    ]


BROKEN = b"\x0a\x05\x0a\x03\x0a\x05a"  # a resource whose first attribute ends in the middle of its key


@pytest.mark.parametrize("signal", ["metrics", "logs", "traces"])
def test_a_record_broken_half_way_leaves_nothing_behind(signal: str) -> None:
    """The first sender of the record could be read, the second cannot: all of it is refused."""
    whole = getattr(producers, signal)().SerializeToString()
    bad = bytes([0x0A, len(BROKEN)]) + BROKEN
    of = settings("otlp")
    ts = T0 if signal == "logs" else now()
    found = read(core(of).process([record(whole + bad, ts=ts), record(whole, 1, ts=ts)]))
    expected = read(core(of).process([record(whole, 1, ts=ts)]))
    assert [
        (letter.offset, letter.reason, letter.rows) for letter in found.letters if letter.offset == 0
    ] == [(0, "undecodable", 0)]
    assert found.rows() == expected.rows()


def test_new_bounds_of_a_histogram_are_described_anew() -> None:
    """The buckets of a series may change with a new release; a row is never read with the old bounds."""
    described = []
    made = core(settings("otlp"))
    for i, bounds in enumerate(([1.0], [2.0], [2.0])):
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
        metric.histogram.aggregation_temporality = 2
        metric.histogram.data_points.add(
            time_unix_nano=(T0 + i) * 1_000_000, bucket_counts=[1, 2], explicit_bounds=bounds
        )
        found = read(made.process([record(request.SerializeToString(), i)]))
        described.append([series.bounds for series in found.series.values()])
    assert described == [[(1.0,)], [(2.0,)], []]
