"""Prometheus remote write, against records of a Prometheus 2.42 and of the published schema of 2.0."""

from __future__ import annotations

import math
import struct
from typing import Any

import cramjam
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.metrics import heads, native, prometheus
from streams.decode.metrics.prometheus_schema import Label, TimeSeries, Write
from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, Read, decode

SCRAPED = 1_795_534_388_000
"""ms, about when the golden records were written"""
STALE = struct.unpack("<d", heads.STALE)[0]


class Request:
    """A request of version 1.0 under construction."""

    def __init__(self) -> None:
        self.series: list[Any] = []
        self.write = Write()

    def SerializeToString(self) -> bytes:
        self.write.timeseries.extend(each.SerializeToString() for each in self.series)
        self.series.clear()
        return bytes(self.write.SerializeToString())


def pack(request: Any) -> bytes:
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def series(request: Request, **labels: str) -> Any:
    """A series of version 1.0; `name` is the metric's."""
    made = TimeSeries()
    for key, value in labels.items():
        key = "__name__" if key == "name" else key
        made.labels.append(Label(name=key, value=value).SerializeToString())
    request.series.append(made)
    return made


def sent(request: Any) -> Read:
    return decode(pack(request), "prometheus-remote-write")


def one(value: float = 1.0, ts: int = T0, **labels: str) -> Any:
    request = Request()
    series(request, **{"name": "m", "job": "cart", **labels}).samples.add(value=value, timestamp=ts)
    return request


def test_a_scrape_of_a_real_prometheus() -> None:
    """Service from `job`, instance from `instance`, kinds and units from names; a NaN quantile is no row."""
    found = golden("prometheus-remote-write/scrape.bin", SCRAPED)
    assert reasons(found) == []
    assert {each.service for each in found.series.values()} == {"checkout"}
    assert [(metric, value) for metric, _, _, value in rows(found) if not metric.startswith("scrape")] == [
        ("gc_seconds", 0.01),
        ("gc_seconds_count", 3.0),
        ("gc_seconds_sum", 1.5),
        ("http_request_duration_seconds_bucket", 4.0),
        ("http_request_duration_seconds_bucket", 3.0),
        ("http_request_duration_seconds_count", 4.0),
        ("http_request_duration_seconds_sum", 0.7),
        ("http_requests_total", 42.0),
        ("queue_depth", 7.0),
        ("up", 1.0),
    ]
    (requests,) = found.named("http_requests_total")
    assert dict(requests.labels) == {
        "code": "200",
        "instance": "127.0.0.1:19987",
        "path": "/pay",
        "zone": "b",
    }
    assert (requests.kind, requests.resource) == (Kind.COUNTER, (("zone", "b"),))
    (total,) = found.named("http_request_duration_seconds_sum")
    assert (total.kind, total.unit) == (Kind.COUNTER, "s")
    (depth,) = found.named("queue_depth")
    assert (depth.kind, dict(depth.labels)["queue"]) == (Kind.GAUGE, "orders ü")


def test_the_end_of_series_is_no_row_and_no_fault() -> None:
    """The target failed: its series carry the stale marker, `up` and the scrape's own go on."""
    found = golden("prometheus-remote-write/end_of_series.bin", SCRAPED + 5_000)
    assert reasons(found) == []
    assert {row[0] for row in rows(found)} == {
        "up",
        "scrape_duration_seconds",
        "scrape_samples_post_metric_relabeling",
        "scrape_samples_scraped",
        "scrape_series_added",
    }


def test_metadata_in_the_record_says_what_a_series_counts() -> None:
    """It wins over the name, and names the unit."""
    request = one(name="hits")
    series(request, name="level_total", job="cart").samples.add(value=1, timestamp=T0)
    request.write.metadata.add(type=1, family="hits", unit="bytes")
    request.write.metadata.add(type=2, family="level_total")
    found = sent(request)
    assert [(s.kind, s.unit) for s in found.named("hits")] == [(Kind.COUNTER, "By")]
    assert [s.kind for s in found.named("level_total")] == [Kind.GAUGE]


def test_a_record_of_metadata_alone_is_stepped_over() -> None:
    """Prometheus sends one a minute."""
    request = Write()
    request.metadata.add(type=1, family="hits")
    assert sent(request).letters == []


def test_version_2_with_its_table_of_symbols() -> None:
    """Metadata stands at the series; the same series has the same fingerprint in both versions."""
    request = Write(symbols=["", "__name__", "hits", "job", "cart", "seconds"])
    made = request.timeseries_2.add(labels=[1, 2, 3, 4])
    made.samples.add(value=3, timestamp=T0)
    made.metadata.type, made.metadata.unit = 1, 5
    found = sent(request)
    (hits,) = found.named("hits")
    assert (hits.service, hits.kind, hits.unit, hits.labels) == ("cart", Kind.COUNTER, "s", ())
    assert [row[2:] for row in found.samples] == [(T0, 3.0)]
    assert {s.fp for s in found.series.values()} == {s.fp for s in sent(one(name="hits")).series.values()}


def test_a_symbol_out_of_the_table_refuses_its_series_alone() -> None:
    """As does a label without a value."""
    request = Write(symbols=["", "__name__", "hits"])
    for labels in ([1, 2], [1, 9], [1, 2, 2]):
        request.timeseries_2.add(labels=labels).samples.add(value=3, timestamp=T0)
    found = sent(request)
    assert (len(found.samples), reasons(found)) == (1, [("wrong-type", 2)])


def test_a_native_histogram_becomes_one_on_the_ladder() -> None:
    """Schema 1 has two buckets a doubling, as the ladder; deltas run over the spans."""
    request = Request()
    point = series(request, name="latency_seconds", job="cart").histograms.add(
        sum=6.0, schema=1, zero_count=1, timestamp=T0
    )
    point.positive_spans.add(offset=0, length=2)
    point.positive_spans.add(offset=1, length=1)
    point.positive_deltas.extend([2, 1, -2])  # 2, 3, 1
    point.negative_spans.add(offset=0, length=1)
    point.negative_deltas.append(4)
    found = sent(request)
    (described,) = found.series.values()
    assert (described.kind, described.unit) == (Kind.HISTOGRAM, "s")
    ((_, ts, total, counts),) = found.histograms
    assert (ts, total, counts[0]) == (T0, 6.0, 5.0)
    inner = {
        round(described.bounds[at], 9): n
        for at, n in enumerate(counts[:-1])
        if n and at  # the first has what is at or below zero
    }
    assert inner == {1.0: 2.0, round(math.sqrt(2), 9): 3.0, round(2 * math.sqrt(2), 9): 1.0}


def test_a_native_histogram_with_bounds_of_its_own_keeps_them() -> None:
    """Buckets that nothing fell into are not sent."""
    request = Request()
    point = series(request, name="latency", job="cart").histograms.add(
        sum=6.0, schema=native.CUSTOM, timestamp=T0, custom_values=[0.1, 0.5, 1.0]
    )
    point.positive_spans.add(offset=1, length=1)
    point.positive_spans.add(offset=1, length=1)
    point.positive_deltas.extend([2, 5])
    found = sent(request)
    assert next(iter(found.series.values())).bounds == (0.1, 0.5, 1.0)
    assert found.histograms[0][3] == (0.0, 2.0, 0.0, 7.0)


def _break(point: Any, what: str) -> None:
    if what == "schema":
        point.schema = 9
    elif what == "fractions":
        point.count_float = 2.5
    elif what == "gauge":
        point.reset_hint = native.GAUGE_HINT
    elif what == "spans":
        point.positive_spans.add(offset=0, length=2**31)
    elif what == "negative":
        point.positive_spans.add(offset=0, length=1)
        point.positive_deltas.append(-1)
    elif what == "time":
        point.timestamp = 0


@pytest.mark.parametrize("what", ["schema", "fractions", "gauge", "spans", "negative", "time"])
def test_a_native_histogram_that_cannot_be_used_is_refused_alone(what: str) -> None:
    """With its reason, and without making room for buckets that are not there."""
    request = one()
    _break(
        series(request, name="h", job="cart").histograms.add(sum=1, schema=1, timestamp=T0, zero_count=1),
        what,
    )
    found = sent(request)
    assert (len(found.samples), len(found.histograms), reasons(found)) == (1, 0, [("wrong-type", 1)])


@pytest.mark.parametrize(("value", "expected"), [(STALE, []), (math.nan, [("non-finite", 1)])])
def test_a_nan_is_absent_only_if_it_is_the_stale_marker(
    value: float, expected: list[tuple[str, int]]
) -> None:
    """Any other one is a value that cannot be used."""
    found = sent(one(value))
    assert (found.samples, reasons(found)) == ([], expected)


@pytest.mark.parametrize("ts", [0, -5, 2**63 - 1])
def test_a_time_out_of_range_is_refused(ts: int) -> None:
    """Before it is subtracted from anything."""
    assert reasons(sent(one(ts=ts))) == [("wrong-type", 1)]


def test_a_series_without_a_name_is_refused_alone() -> None:
    """There is nothing to call it."""
    request = one()
    series(request, job="cart").samples.add(value=1, timestamp=T0)
    found = sent(request)
    assert (len(found.samples), reasons(found)) == (1, [("wrong-type", 1)])


def test_a_bomb_is_refused_by_what_it_says_of_itself() -> None:
    """4 GB are announced in five bytes; nothing is allocated."""
    bomb = b"\xff\xff\xff\xff\x0f" + b"\xfe\x01\x00" * 1_000
    assert reasons(decode(bomb, "prometheus-remote-write")) == [("oversized", 0)]
    zeros = bytes(cramjam.snappy.compress_raw(bytes(prometheus.MAX_UNPACKED + 1)))
    assert len(zeros) < prometheus.MAX_UNPACKED / 10
    assert reasons(decode(zeros, "prometheus-remote-write")) == [("oversized", 0)]


@pytest.mark.parametrize(
    "bad", [b"no snappy at all", b"\x00", b"\x05abc", Write().SerializeToString() + b"\x0a"]
)
def test_what_is_no_write_request_is_refused_whole(bad: bytes) -> None:
    """Neither a block, nor one that is cut, nor an empty one."""
    assert [letter.rows for letter in decode(bad, "prometheus-remote-write").letters] == [0]


def test_ten_thousand_labels_are_bounded() -> None:
    """The first 64 by name are kept."""
    request = one(**{f"l{i:05}": "x" for i in range(10_000)})
    found = sent(request)
    assert [len(each.labels) for each in found.series.values()] == [64]


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -7.25e300, 1e-310, math.inf])
def test_samples_that_are_read_without_a_parse_are_what_a_parser_reads(value: float) -> None:
    """A series with one sample of today, a second time, against one with its sample twice."""
    plain, twice = one(value), one(value)
    twice.series[0].samples.add(value=value, timestamp=T0)
    catalog = Catalog(4, 1_000)
    read = []
    for request in (plain, plain, twice):
        columns = Columns(catalog)
        prometheus.decode(pack(request), columns)
        read.append((columns.ts.tolist(), [struct.pack("<d", number) for number in columns.value]))
    assert read[0] == read[1] == ([T0], [struct.pack("<d", value)])
    assert read[2] == ([T0] * 2, [struct.pack("<d", value)] * 2)


def test_rows_keep_their_order_however_they_were_read() -> None:
    """A worker that knows a series puts out the same as one that meets it for the first time."""
    request = one(1.0)
    series(request, name="m", job="cart").samples.extend([request.series[0].samples[0]] * 2)
    for value in (3.0, 0.0):
        series(request, name="m", job="cart").samples.add(value=value, timestamp=T0)
    raw = pack(request)
    catalog = Catalog(4, 1_000)
    for _ in range(2):
        columns = Columns(catalog)
        prometheus.decode(raw, columns)
        assert columns.value.tolist() == [1.0, 1.0, 1.0, 3.0, 0.0]


@given(st.binary(max_size=40), st.integers(0, 2**63 - 1), st.floats(), st.integers(0, 60))
def test_a_label_that_looks_like_a_sample_is_none(end: bytes, ts: int, value: float, cut: int) -> None:
    """Whatever the bytes, the rows are those of the parser."""
    sample = TimeSeries()
    sample.samples.add(value=value, timestamp=ts)
    label = b"\x0a\x01m" + b"\x12" + bytes([len(end)]) + end
    raw = (b"\x0a" + bytes([len(label)]) + label + sample.SerializeToString())[: -cut or None]
    size = heads.fits(raw)
    try:
        parsed = TimeSeries.FromString(raw)
    except DecodeError:
        parsed = None
    if size:
        try:
            before = TimeSeries.FromString(raw[:-size])
        except DecodeError:
            return
        if not before.samples and not before.histograms:
            assert parsed is not None
            assert len(parsed.samples) == 1
