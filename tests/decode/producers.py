"""Records as real producers write them: the OpenTelemetry SDK and its encoders."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

RESOURCE = {
    "service.name": "checkout",
    "service.instance.id": "checkout-0",
    "service.version": "1.4.2",
    "deployment.environment.name": "prod",
    "host.name": "node-7",
    "cloud.availability_zone": "eu-1a",
}


@cache
def metrics(delta: bool = False) -> Message:
    """A request with every kind of instrument, two series of a counter among them."""
    preferred = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    reader = InMemoryMetricReader(preferred_temporality={Counter: preferred, Histogram: preferred})
    view = View(instrument_name="payload.size", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], resource=Resource(RESOURCE), views=[view])
    meter = provider.get_meter("shop", "1.0")
    counter = meter.create_counter("http.server.requests", unit="{request}")
    counter.add(3, {"http.route": "/pay", "status": 200})
    counter.add(2, {"http.route": "/pay", "status": 500})
    meter.create_up_down_counter("queue.depth").add(-4)
    meter.create_observable_gauge("cpu.used", [lambda _: [Observation(0.25, {"core": 0})]], unit="1")
    latency = meter.create_histogram("http.server.duration", unit="ms")
    size = meter.create_histogram("payload.size", unit="By")
    for value in (1, 7, 30, 30, 12_000):
        latency.record(value, {"http.route": "/pay"})
        size.record(value)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return encode_metrics(data)


@cache
def logs() -> Message:
    """Two lines: one plain, one with an exception and a trace."""
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource(RESOURCE))
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = provider.get_logger("shop")
    logger.emit(
        LogRecord(timestamp=1_700_000_000_123_000_000, severity_number=SeverityNumber.INFO, body="started")
    )
    logger.emit(
        LogRecord(
            timestamp=1_700_000_000_456_000_000,
            severity_number=SeverityNumber.ERROR,
            body={"msg": "declined", "order": 7},
            attributes={"exception.type": "CardError", "exception.message": "no funds"},
        )
    )
    found = encode_logs(kept.get_finished_logs())
    provider.shutdown()
    return found


@cache
def traces() -> Message:
    """A root span and a failed child."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(RESOURCE))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("pay"), tracer.start_as_current_span("charge") as child:
        child.set_status(Status(StatusCode.ERROR))
        child.add_event("declined", {"reason": "no funds"})
    found = encode_spans(kept.get_finished_spans())
    provider.shutdown()
    return found


def _hex_ids(found: Any) -> None:
    if isinstance(found, list):
        for item in found:
            _hex_ids(item)
    elif isinstance(found, dict):
        for key, value in found.items():
            if key in ("traceId", "spanId", "parentSpanId"):
                found[key] = base64.b64decode(value).hex()
            else:
                _hex_ids(value)


def as_json(message: Message, numbers: bool = True) -> bytes:
    """The request in OTLP's JSON form: protobuf's, but ids in hex; enums as numbers or as names."""
    found = MessageToDict(message, use_integers_for_enums=numbers)
    _hex_ids(found)
    return json.dumps(found).encode()


def now_of(message: Message) -> int:
    """ms UTC of the first point of a metrics request."""
    for metric in message.resource_metrics[0].scope_metrics[0].metrics:  # type: ignore[attr-defined]
        if metric.HasField("sum"):
            return int(metric.sum.data_points[0].time_unix_nano) // 1_000_000
    raise AssertionError("no sum in it")
