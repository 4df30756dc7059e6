"""Vector's metric and log events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, Read, decode

TEXT = "2023-11-14T22:13:20.000Z"


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "tags": {"service": "cart"}, "timestamp": TEXT, "kind": "absolute", **fields}


def sent(*events: dict[str, Any]) -> Read:
    return decode("\n".join(map(json.dumps, events)), "vector")


def test_the_golden_counter() -> None:
    """The namespace stands before the name; an increment is a delta."""
    found = golden("vector/counter.json", T0)
    labels = {"instance": "node-1", "status": "200"}
    assert rows(found) == [("web_http_requests_total", labels, T0, 100.0)]
    (series,) = found.series.values()
    assert (series.service, series.kind, series.resource) == (
        "checkout",
        Kind.DELTA,
        (("host", "node-1"),),
    )


def test_the_golden_histogram() -> None:
    """Its counts are per bucket; the infinite limit is the last bucket, not a bound."""
    found = golden("vector/histogram.json", T0)
    (series,) = found.series.values()
    assert (series.metric, series.kind, series.bounds) == (
        "vector_component_sent_events_count",
        Kind.HISTOGRAM,
        (1.0, 2.0),
    )
    assert [row[1:] for row in found.histograms] == [(T0 + 723, 2.0, (2.0, 0.0, 0.0))]


def test_the_golden_log_line() -> None:
    """Its level is its severity; the service is its own field, not the host."""
    found = golden("vector/log.json", T0)
    ((origin, ts, severity, body, *_),) = found.logs
    assert (origin.service, origin.instance, ts, severity, body) == (
        "checkout",
        "node-1",
        T0 + 123,
        17,
        "payment refused",
    )


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"counter": {"value": 2}}, Kind.COUNTER, 2.0),
        ({"counter": {"value": 2}, "kind": "incremental"}, Kind.DELTA, 2.0),
        ({"gauge": {"value": -2}}, Kind.GAUGE, -2.0),
        ({"set": {"values": ["a", "b"]}, "kind": "incremental"}, Kind.GAUGE, 2.0),
    ],
)
def test_kinds_of_single_numbers(fields: dict[str, Any], kind: Kind, value: float) -> None:
    """Of a set, how many members it has."""
    found = sent(event(**fields))
    assert [s.kind for s in found.series.values()] == [kind]
    assert [row[3] for row in rows(found)] == [value]


def test_a_distribution_is_a_histogram_of_its_samples() -> None:
    """`rate` says how often each was seen."""
    samples = [{"value": 1.0, "rate": 3}, {"value": 100.0, "rate": 1}]
    found = sent(event(kind="incremental", distribution={"samples": samples, "statistic": "histogram"}))
    (series,) = found.series.values()
    ((_, _, total, counts),) = found.histograms
    assert (series.kind, total, sum(counts)) == (Kind.HISTOGRAM_DELTA, 103.0, 4.0)


@pytest.mark.parametrize("last", ["inf", None, "+Inf"])
def test_a_histogram_without_its_last_bucket_gets_what_is_left_of_the_count(last: str | None) -> None:
    """However infinity was written."""
    known = {"count": 5, "sum": 9.0, "buckets": [{"upper_limit": 1.0, "count": 2}]}
    whole = {**known, "buckets": [*known["buckets"], {"upper_limit": last, "count": 3}]}  # type: ignore[misc]
    found = sent(event(aggregated_histogram=known), event(aggregated_histogram=whole))
    assert {row[3] for row in found.histograms} == {(2.0, 3.0)}
    assert len(found.series) == 1


def test_a_summary_is_quantiles_a_count_and_a_sum() -> None:
    """A quantile of nothing is null, and no row; old versions call it a limit."""
    quantiles = [
        {"quantile": 0.5, "value": 3.0},
        {"upper_limit": 0.9, "value": 4.0},
        {"quantile": 1, "value": None},
    ]
    found = sent(event(aggregated_summary={"quantiles": quantiles, "count": 7, "sum": 21.0}))
    assert [(row[0], row[1].get("quantile"), row[3]) for row in rows(found)] == [
        ("m", "0.5", 3.0),
        ("m", "0.9", 4.0),
        ("m_count", None, 7.0),
        ("m_sum", None, 21.0),
    ]
    assert [s.kind for s in found.named("m_count")] == [Kind.COUNTER]


@pytest.mark.parametrize(
    "bins",
    [{"k": [0, 1338, 1383], "n": [1, 2, 3]}, [{"k": 0, "n": 1}, {"k": 1338, "n": 2}, {"k": 1383, "n": 3}]],
)
def test_a_sketch_is_a_histogram_of_its_bins(bins: Any) -> None:
    """Bin 1338 begins at 1, bin 1383 a little above 2."""
    sketch = {"AgentDDSketch": {"bins": bins, "count": 6, "min": 0.0, "max": 2.0, "sum": 8.0, "avg": 1.3}}
    found = sent(event(kind="incremental", sketch={"sketch": sketch}))
    (series,) = found.series.values()
    ((_, _, total, counts),) = found.histograms
    assert (total, series.kind) == (8.0, Kind.HISTOGRAM_DELTA)
    assert {series.bounds[at]: n for at, n in enumerate(counts[:-1]) if n} == {
        series.bounds[0]: 1.0,
        1.0: 2.0,
        2.0**1.5: 3.0,
    }


def test_tags_with_several_values_or_none() -> None:
    """Joined with commas; a tag without a value is \"true\"."""
    tags = {"service": "cart", "zone": ["a", None, "b"], "bare": None, "list": [None]}
    found = sent(event(tags=tags, gauge={"value": 1}))
    assert [row[1] for row in rows(found)] == [{"bare": "true", "list": "true", "zone": "a,b"}]


def test_metrics_without_tags_or_time() -> None:
    """Both may be null; the time is then the record's."""
    found = sent(event(tags=None, timestamp=None, gauge={"value": 1}))
    assert rows(found) == [("m", {}, T0, 1.0)]
    assert next(iter(found.series.values())).service == "unknown"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gauge": {"value": 1}, "kind": "incremental"}, "wrong-type"),
        ({"gauge": {"value": None}}, "wrong-type"),
        ({"gauge": {"value": "1"}}, "wrong-type"),
        ({"gauge": {"value": 1}, "kind": "odd"}, "wrong-type"),
        ({"gauge": {"value": 1}, "name": ""}, "wrong-type"),
        ({"gauge": {"value": 1}, "tags": {"a": {}}}, "wrong-type"),
        ({"gauge": {"value": 1}, "tags": [1]}, "wrong-type"),
        ({"gauge": {"value": 1}, "timestamp": "soon"}, "wrong-type"),
        ({"gauge": None}, "wrong-type"),
        ({}, "wrong-type"),
        ({"sketch": {"sketch": {"Odd": {}}}}, "wrong-type"),
        ({"sketch": {"sketch": {"AgentDDSketch": {"sum": 1, "bins": {"k": [1], "n": []}}}}}, "wrong-type"),
        ({"distribution": {"samples": [{"value": 1, "rate": -1}]}}, "wrong-type"),
        ({"distribution": {"samples": [{"value": 1, "rate": 2**63}] * 3}}, "wrong-type"),
        ({"aggregated_histogram": {"buckets": [{"upper_limit": "x", "count": 1}], "count": 1}}, "wrong-type"),
        ({"aggregated_histogram": {"buckets": [{"upper_limit": 1, "count": 9}], "count": 1}}, "wrong-type"),
        ({"aggregated_summary": {"quantiles": [{"value": 1}], "count": 1}}, "wrong-type"),
    ],
)
def test_a_bad_event_is_refused_without_its_neighbours(fields: dict[str, Any], reason: str) -> None:
    """The record's others pass."""
    good = event(gauge={"value": 1}, name="good")
    found = sent(good, event(**fields), good)
    assert len(found.named("good")) == 1
    assert reasons(found) == [(reason, 1)]


def test_a_log_of_kubernetes_is_named_by_its_pod() -> None:
    """Vector keeps it in an object of its own; labels of the pod go before the container."""
    kubernetes = {"pod_name": "cart-7f", "container_name": "main", "pod_labels": {"app": "cart"}}
    found = sent(
        {"message": {"a": 1}, "source_type": "kubernetes_logs", "timestamp": TEXT, "kubernetes": kubernetes}
    )
    ((origin, ts, severity, body, *_),) = found.logs
    assert (origin.service, origin.instance, ts, severity, body) == ("cart", "cart-7f", T0, 0, '{"a":1}')
