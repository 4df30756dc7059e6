"""What the shop writes into Kafka, read back with the OTLP definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from demo.releases import RELEASES
from demo.shop import CALLS, SERVICES
from tests.demo.conftest import World, collect

pytestmark = pytest.mark.slow

SERVER = {
    "http.server.request.duration",
    "http.server.active_requests",
    "process.cpu.time",
    "process.cpu.utilization",
    "process.memory.usage",
}
STORE = {
    "store.lock.wait",
    "db.client.operation.duration",
    "db.client.connection.count",
    "db.client.connection.pending_requests",
}


def resource_of(part: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in part.resource.attributes}


def metric_names(records: list[ConsumerRecord]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for record in records:
        for part in MetricsData.FromString(record.value).resource_metrics:
            found = names.setdefault(resource_of(part)["service.name"], set())
            found.update(metric.name for scope in part.scope_metrics for metric in scope.metrics)
    return names


def spans_of(records: list[ConsumerRecord]) -> list[tuple[str, Span]]:
    return [
        (resource_of(part)["service.name"], span)
        for record in records
        for part in TracesData.FromString(record.value).resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]


def calls_in(records: list[ConsumerRecord]) -> set[tuple[str, str]]:
    """Caller and callee of every parent-child pair that crosses services."""
    spans = spans_of(records)
    owner = {span.span_id: service for service, span in spans}
    return {
        (owner[span.parent_span_id], service)
        for service, span in spans
        if span.parent_span_id in owner and owner[span.parent_span_id] != service
    }


def every_service(parse: Callable[[bytes], Any], field: str) -> Callable[[list[ConsumerRecord]], bool]:
    def enough(records: list[ConsumerRecord]) -> bool:
        seen = {
            resource_of(part)["service.name"]
            for record in records
            for part in getattr(parse(record.value), field)
        }
        return seen >= set(SERVICES)

    return enough


@pytest.mark.parametrize(
    ("topic", "parse", "field"),
    [
        ("otlp_metrics", MetricsData.FromString, "resource_metrics"),
        ("otlp_logs", LogsData.FromString, "resource_logs"),
        ("otlp_spans", TracesData.FromString, "resource_spans"),
    ],
)
def test_every_service_writes_otlp_batches_without_key(
    world: World, topic: str, parse: Callable[[bytes], Any], field: str
) -> None:
    """Each signal of each service decodes, names its resource, and carries no key."""
    records = collect(world.kafka, topic, every_service(parse, field))
    resources = {
        resource["service.name"]: resource
        for record in records
        for part in getattr(parse(record.value), field)
        for resource in [resource_of(part)]
    }
    assert all(record.key is None for record in records)
    for service in SERVICES:
        resource = resources[service]
        assert resource["service.instance.id"] == f"{service}-0"
        assert resource["deployment.environment.name"] == "demo"
        assert resource["host.name"]
        assert resource["service.version"] in (RELEASES[service], "2.1.0")


def test_metrics_follow_the_semantic_conventions(world: World) -> None:
    """Server, client, process and store metrics have their conventional names."""

    def enough(records: list[ConsumerRecord]) -> bool:
        names = metric_names(records)
        return all(names.get(s, set()) >= SERVER for s in SERVICES) and names["inventory"] >= STORE

    names = metric_names(collect(world.kafka, "otlp_metrics", enough))
    assert all("http.client.request.duration" in names[caller] for caller in CALLS)


def test_spans_cross_the_services_along_the_call_graph(world: World) -> None:
    """Parent-child spans show exactly the calls there are."""
    graph = {(caller, callee) for caller, callees in CALLS.items() for callee in callees}
    records = collect(world.kafka, "otlp_spans", lambda records: calls_in(records) >= graph)
    assert calls_in(records) == graph


def test_logs_carry_the_trace_they_belong_to(world: World) -> None:
    """An order's log line has trace and span ids, a severity and the words of its template."""

    def orders(records: list[ConsumerRecord]) -> list[Any]:
        return [
            line
            for record in records
            for part in LogsData.FromString(record.value).resource_logs
            for scope in part.scope_logs
            for line in scope.log_records
            if line.body.string_value.startswith("order ") and " placed: " in line.body.string_value
        ]

    line = orders(collect(world.kafka, "otlp_logs", lambda records: bool(orders(records))))[0]
    assert len(line.trace_id) == 16
    assert len(line.span_id) == 8
    assert line.severity_text == "INFO"
