"""Points a second and core through the ingest core, per wire format.

    python -m bench.ingest [--seconds 3] [--json]

Every case feeds the same records, in chunks as the worker does (up to 5,000 records or a fetch of 1 MiB), to
one core and encodes the pages. Beside each stands the plain way to read that format, in the same run on the
same bytes: `json.loads` of every line for JSON; for protobuf a parse with the published messages that
reads each item's time, value and attributes. The ratio is time of ours to time of that.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from rich.console import Console
from rich.table import Table

from config.settings import Ingest, InputTopic, Settings, Topics
from streams.decode.ingest import ingest_factory
from streams.records.batch import Records
from streams.records.stage import Record

T0 = 1_700_000_000_000
RECORDS = 200
SERVICES = 20
SERIES_PER_METRIC = 25
METRICS = 20
CHUNK_RECORDS, CHUNK_BYTES = 5_000, 1 << 20
BOUNDS = (
    5.0,
    10.0,
    25.0,
    50.0,
    75.0,
    100.0,
    250.0,
    500.0,
    750.0,
    1_000.0,
    2_500.0,
    5_000.0,
    7_500.0,
    10_000.0,
)


def _resource(part: Any, service: int) -> None:
    for key, value in (
        ("service.name", f"service-{service}"),
        ("service.instance.id", f"service-{service}-0"),
        ("service.version", "1.2.3"),
        ("host.name", f"node-{service % 5}"),
        ("telemetry.sdk.language", "python"),
    ):
        part.resource.attributes.add(key=key).value.string_value = value


def _labels(point: Any, series: int) -> None:
    point.attributes.add(key="http.route").value.string_value = f"/api/v1/resource/{series}"
    point.attributes.add(key="http.request.method").value.string_value = "GET"
    point.attributes.add(key="http.response.status_code").value.int_value = 200


def metric_requests(histograms: bool) -> list[ExportMetricsServiceRequest]:
    """Batches as the SDKs send them: one service, many metrics, many label sets."""
    dice = random.Random(1)
    requests = []
    for n in range(RECORDS):
        request = ExportMetricsServiceRequest()
        part = request.resource_metrics.add()
        _resource(part, n % SERVICES)
        scope = part.scope_metrics.add()
        at = (T0 + n // SERVICES * 10_000) * 1_000_000
        for m in range(METRICS):
            metric = scope.metrics.add(name=f"http.server.metric.{m}", unit="ms")
            for series in range(SERIES_PER_METRIC):
                if histograms:
                    metric.histogram.aggregation_temporality = 2
                    counts = [dice.randrange(100) for _ in range(len(BOUNDS) + 1)]
                    point = metric.histogram.data_points.add(
                        time_unix_nano=at,
                        count=sum(counts),
                        sum=1.0,
                        bucket_counts=counts,
                        explicit_bounds=BOUNDS,
                    )
                else:
                    point = metric.gauge.data_points.add(time_unix_nano=at, as_double=dice.random())
                _labels(point, series)
        requests.append(request)
    return requests


def log_requests() -> list[ExportLogsServiceRequest]:
    """Batches of a hundred lines."""
    requests = []
    for n in range(RECORDS):
        request = ExportLogsServiceRequest()
        part = request.resource_logs.add()
        _resource(part, n % SERVICES)
        scope = part.scope_logs.add()
        for i in range(100):
            line = scope.log_records.add(time_unix_nano=(T0 + n * 10 + i) * 1_000_000, severity_number=9)
            line.body.string_value = f"GET /api/v1/resource/{i} took {n} ms for user {i * 7919}"
            _labels(line, i)
        requests.append(request)
    return requests


def tocsin_lines() -> list[bytes]:
    """Five hundred lines a record."""
    dice = random.Random(1)
    values = []
    for n in range(RECORDS):
        lines = [
            json.dumps(
                {
                    "ts": T0 + n // SERVICES * 10_000,
                    "service": f"service-{n % SERVICES}",
                    "metric": f"http.server.metric.{m}",
                    "value": dice.random(),
                    "labels": {"http.route": f"/api/v1/resource/{series}", "method": "GET"},
                }
            )
            for m in range(METRICS)
            for series in range(SERIES_PER_METRIC)
        ]
        values.append("\n".join(lines).encode())
    return values


def chunked(values: Sequence[bytes]) -> list[Records]:
    """Records with these values as the transport hands them over."""
    chunks: list[list[Record]] = [[]]
    size = 0
    for n, value in enumerate(values):
        if len(chunks[-1]) == CHUNK_RECORDS or size + len(value) > CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(Record("in", 0, n, T0 + n // SERVICES * 10_000, None, value))
        size += len(value)
    return [Records.of(chunk) for chunk in chunks if chunk]


def ours(values: Sequence[bytes], wire_format: str) -> Callable[[], None]:
    """The ingest core over all records once, with a warm catalog after the first time."""
    settings = Settings(
        topics=Topics(inputs=(InputTopic(name="in", format=wire_format),)),
        ingest=Ingest(allowed_lateness_ms=10**9),
    )
    core = ingest_factory(settings, ["in/0"])("in", 0)
    chunks = chunked(values)

    def once() -> None:
        for chunk in chunks:
            outputs = core.process(chunk)
            assert all(output.topic == settings.topics.pages for output in outputs)

    return once


def plain_json(values: Sequence[bytes]) -> Callable[[], None]:
    """`json.loads` of every line."""

    def once() -> None:
        for value in values:
            for line in value.split(b"\n"):
                json.loads(line)

    return once


def plain_metrics(values: Sequence[bytes]) -> Callable[[], None]:
    """Parse with the published messages, read time, value and attributes of each point."""

    def once() -> None:
        for value in values:
            for part in ExportMetricsServiceRequest.FromString(value).resource_metrics:
                for scope in part.scope_metrics:
                    for metric in scope.metrics:
                        if metric.HasField("gauge"):
                            for number in metric.gauge.data_points:
                                _attributes(number), number.time_unix_nano, number.as_double
                        else:
                            for point in metric.histogram.data_points:
                                _attributes(point), point.time_unix_nano, list(point.bucket_counts)

    return once


def plain_logs(values: Sequence[bytes]) -> Callable[[], None]:
    """Parse with the published messages, read time, body and attributes of each line."""

    def once() -> None:
        for value in values:
            for part in ExportLogsServiceRequest.FromString(value).resource_logs:
                for scope in part.scope_logs:
                    for line in scope.log_records:
                        _attributes(line), line.time_unix_nano, line.body.string_value

    return once


def _attributes(item: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in item.attributes}


def per_second(work: Callable[[], None], items: int, seconds: float) -> float:
    """Items a second: the best round of those that fit the time, after one to warm up."""
    work()
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return items / best


def cases() -> list[tuple[str, str, list[bytes], int, Callable[[], None]]]:
    """Name, format, records, items in them, and what to compare with."""
    gauges, histograms, logs = metric_requests(False), metric_requests(True), log_requests()
    raw_gauges = [request.SerializeToString() for request in gauges]
    raw_histograms = [request.SerializeToString() for request in histograms]
    raw_logs = [request.SerializeToString() for request in logs]
    as_json = [json.dumps(MessageToDict(request)).encode() for request in gauges]
    lines = tocsin_lines()
    points = RECORDS * METRICS * SERIES_PER_METRIC
    return [
        ("OTLP protobuf, gauges", "otlp", raw_gauges, points, plain_metrics(raw_gauges)),
        (
            "OTLP protobuf, histograms",
            "otlp",
            raw_histograms,
            points,
            plain_metrics(raw_histograms),
        ),
        (
            "OTLP protobuf, logs",
            "otlp",
            raw_logs,
            RECORDS * 100,
            plain_logs(raw_logs),
        ),
        ("OTLP JSON, gauges", "otlp-json", as_json, points, plain_json(as_json)),
        ("Tocsin JSON lines", "tocsin", lines, points, plain_json(lines)),
        (
            "Tocsin JSON, one line a record",
            "tocsin",
            b"\n".join(lines).split(b"\n"),
            points,
            plain_json(lines),
        ),
    ]


def main() -> None:
    """Measure all cases and print them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    options.add_argument("--json", action="store_true", help="only JSON")
    chosen = options.parse_args()
    results = []
    for name, wire_format, values, items, floor in cases():
        rate = per_second(ours(values, wire_format), items, chosen.seconds)
        least = per_second(floor, items, chosen.seconds)
        results.append(
            {
                "case": name,
                "items_per_s": round(rate),
                "mb_per_s": round(rate / items * sum(map(len, values)) / 1e6, 1),
                "plain_per_s": round(least),
                "ratio": round(least / rate, 2),
            }
        )
    if not chosen.json:
        table = Table(box=None)
        for heading in ("case", "items/s", "MB/s", "plain reader/s", "our time / plain"):
            table.add_column(heading, no_wrap=True, justify="left" if heading == "case" else "right")
        for found in results:
            table.add_row(
                str(found["case"]),
                f"{found['items_per_s']:,}",
                str(found["mb_per_s"]),
                f"{found['plain_per_s']:,}",
                str(found["ratio"]),
            )
        Console(width=110).print(table)
    print(json.dumps({"ingest": results}))


if __name__ == "__main__":
    main()
