"""What real producers send, through a real Kafka and a real worker: series and logs of the right service.

Every producer writes to two topics: one whose format is named, and one where `auto` has to find it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from demo.otlp_kafka import KafkaLogExporter, KafkaMetricExporter, KafkaSender, KafkaSpanExporter
from embedded.probe import free_port, port_is_free
from embedded.stack import Stack
from streams.records.pages import Kind
from tests.e2e.pipeline import wait_for
from tests.kafka import programs
from tests.kafka.cluster import KafkaCluster
from tests.kafka.fed import WAYS, Fed, fed
from tests.kafka.programs import Ended

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FORMATS = {
    "kcat": "tocsin",
    "collectd": "collectd",
    "rsyslog-file": "syslog-file",
    "rsyslog-5424": "syslog",
    "rsyslog-json": "rsyslog-json",
    "sdk": "otlp",
    "collector": "otlp",
    "collector-json": "otlp-json",
}
LINES = ("payment declined for order 4711", "low stock: sku=9")

way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real ClickHouse engine."""
    with Stack(tmp_path_factory.mktemp("stack"), kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture(scope="module")
def worker(
    real_kafka: KafkaCluster, clickhouse: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fed]:
    """One for all producers of this module."""
    folder = tmp_path_factory.mktemp("fed")
    with fed(folder, real_kafka.bootstrap, clickhouse, "fed", FORMATS) as started:
        yield started


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """Programs that run until the module is done."""
    with ExitStack() as running:
        yield running


def some(worker: Fed, what: str, look: Callable[[], Any], ended: Ended | None = None) -> Any:
    """Wait for it, and no longer than the producer lives."""

    def condition() -> Any:
        reason = ended() if ended else None
        assert reason is None, reason
        return look()

    return wait_for(what, condition, 200, log=worker.workers[-1].log)


@pytest.fixture(scope="module")
def kcat(worker: Fed) -> None:
    """Tocsin JSON, a line a record."""
    path = programs.program("kcat", "kcat")
    row = {"service": "cart", "metric": "latency", "ts": time.time_ns() // 1_000_000, "value": 12.5}
    line = json.dumps(row) + "\n"
    for topic in worker.topics("kcat"):
        argv = [path, "-b", worker.settings.kafka.bootstrap, "-t", topic, "-P"]
        subprocess.run(argv, input=line.encode(), check=True, timeout=60)


@way
def test_kcat_a_sample_a_line(worker: Fed, kcat: None, way: str) -> None:
    """The service is the line's."""
    topic = worker.topic("kcat", way)
    (sample,) = some(worker, "kcat's sample", lambda: worker.samples(topic))
    assert (sample.series.service, sample.series.metric, sample.value) == ("cart", "latency", 12.5)


@pytest.fixture(scope="module")
def collectd(worker: Fed, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Load and CPU, every second."""
    path = programs.program("collectd", "collectd-core")
    programs.needs(programs.COLLECTD_PLUGIN, package="collectd-core librdkafka1")
    folder = tmp_path_factory.mktemp("collectd")
    config = folder / "collectd.conf"
    config.write_text(
        programs.collectd_config(folder, worker.settings.kafka.bootstrap, worker.topics("collectd"))
    )
    return stack.enter_context(programs.running([path, "-f", "-C", str(config)], folder / "collectd.log"))


@way
def test_collectd_a_series_for_each_data_source(worker: Fed, collectd: Ended, way: str) -> None:
    """The host is the service, since collectd watches hosts; load has three sources, CPU a state each."""
    topic = worker.topic("collectd", way)

    def both() -> Any:
        found = worker.samples(topic)
        plugins = {sample.series.metric.partition("_")[0] for sample in found}
        return found if {"load", "cpu"} <= plugins else None

    found = some(worker, "collectd's load and CPU", both, collectd)
    assert {sample.series.service for sample in found} == {"shop-1"}
    now = time.time() * 1_000
    assert all(now - 120_000 < sample.ts < now + 10_000 for sample in found)
    sources = {s.series.metric for s in found if s.series.metric.startswith("load")}
    assert sources == {"load_shortterm", "load_midterm", "load_longterm"}
    states = {dict(s.series.labels).get("type_instance") for s in found if s.series.metric.startswith("cpu")}
    assert {"user", "system", "idle"} <= states


@pytest.fixture(scope="module")
def rsyslog(worker: Fed, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two lines of a file, in three templates."""
    path = programs.program("rsyslogd", "rsyslog rsyslog-kafka")
    programs.needs(*programs.RSYSLOG_PLUGINS, package="rsyslog-kafka")
    folder = tmp_path_factory.mktemp("rsyslog")
    source, config = folder / "app.log", folder / "rsyslog.conf"
    source.write_text("".join(f"{line}\n" for line in LINES))
    templates = {
        "rsyslog-file": "",
        "rsyslog-5424": "RSYSLOG_SyslogProtocol23Format",
        "rsyslog-json": "json",
    }
    topics = [(topic, template) for name, template in templates.items() for topic in worker.topics(name)]
    config.write_text(programs.rsyslog_config(folder, source, worker.settings.kafka.bootstrap, topics))
    argv = [path, "-n", "-f", str(config), "-i", str(folder / "rsyslog.pid")]
    return stack.enter_context(programs.running(argv, folder / "rsyslog.log"))


@way
@pytest.mark.parametrize(("template", "severity"), [("file", 0), ("5424", 13), ("json", 13)])
def test_rsyslog_a_log_line_a_message(
    worker: Fed, rsyslog: Ended, template: str, severity: int, way: str
) -> None:
    """The tag is the service and the host the instance; the file format does not say how bad it is."""
    topic = worker.topic(f"rsyslog-{template}", way)
    found = some(
        worker,
        f"rsyslog's lines ({template})",
        lambda: found if len(found := worker.logs(topic)) >= 2 else None,
        rsyslog,
    )
    assert sorted(line.body for line in found) == sorted(LINES)
    assert {(line.service, line.severity) for line in found} == {("checkout", severity)}
    assert {line.instance for line in found} == {"shop-1"}


def emit(metrics: Any, logs: Any, spans: Any) -> None:
    """One of each through the SDK, and everything flushed."""
    resource = Resource({"service.name": "checkout", "service.instance.id": "checkout-0"})
    reader = PeriodicExportingMetricReader(metrics, export_interval_millis=60_000)
    meters = MeterProvider([reader], resource=resource)
    meter = meters.get_meter("shop")
    meter.create_counter("orders").add(3, {"paid": True})
    meter.create_histogram("duration", unit="s").record(0.2)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    loggers.get_logger("shop").emit(
        LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.WARN, body=LINES[0])
    )
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    with tracers.get_tracer("shop").start_as_current_span("pay"):
        pass
    for provider in (meters, loggers, tracers):
        provider.shutdown()


class _Onto(KafkaSender):
    """Sends every batch to these topics, whatever its signal."""

    def __init__(self, bootstrap: str, topics: list[str]) -> None:
        super().__init__(bootstrap, "sdk")
        self._topics = topics

    def send(self, topic: str, value: bytes) -> None:
        for each in self._topics:
            super().send(each, value)


@pytest.fixture(scope="module")
def sdk(worker: Fed) -> None:
    """The OpenTelemetry SDK with the demo's Kafka exporters."""
    sender = _Onto(worker.settings.kafka.bootstrap, worker.topics("sdk"))
    sender.start()
    emit(KafkaMetricExporter(sender), KafkaLogExporter(sender), KafkaSpanExporter(sender))
    sender.close(timeout_s=20)
    assert sender.dropped == 0


def all_signals(worker: Fed, topic: str, ended: Ended | None = None) -> None:
    """What `emit` sent is there, and belongs to checkout."""

    def whole() -> Any:
        samples, histograms = worker.samples(topic), worker.histograms(topic)
        logs, spans = worker.logs(topic), worker.spans(topic)
        return (samples, histograms, logs, spans) if samples and histograms and logs and spans else None

    samples, histograms, logs, spans = some(worker, f"all signals of {topic}", whole, ended)
    orders = next(sample for sample in samples if sample.series.metric == "orders")
    assert (orders.series.service, orders.series.kind, orders.value) == ("checkout", Kind.COUNTER, 3)
    assert dict(orders.series.labels) == {"paid": "true", "instance": "checkout-0"}
    assert {(series.service, series.metric, series.unit) for series in histograms} == {
        ("checkout", "duration", "s")
    }
    assert [(line.service, line.severity, line.body) for line in logs] == [("checkout", 13, LINES[0])]
    assert spans == {"checkout"}


@way
def test_the_opentelemetry_sdk_all_three_signals(worker: Fed, sdk: None, way: str) -> None:
    """Metrics, logs and spans in one topic."""
    all_signals(worker, worker.topic("sdk", way))


@pytest.fixture(scope="module")
def collector(worker: Fed, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The OpenTelemetry Collector: OTLP by HTTP in, protobuf and JSON to Kafka."""
    path = programs.collector()
    folder = tmp_path_factory.mktemp("collector")
    port, config = free_port(), folder / "collector.yaml"
    exporters = [(topic, "otlp_proto") for topic in worker.topics("collector")]
    exporters += [(topic, "otlp_json") for topic in worker.topics("collector-json")]
    config.write_text(
        programs.collector_config(f"127.0.0.1:{port}", worker.settings.kafka.bootstrap, exporters)
    )
    argv = [path, "--config", f"file:{config}"]
    ended = stack.enter_context(programs.running(argv, folder / "collector.log"))
    some(worker, "the Collector's port", lambda: not port_is_free(port), ended)
    to = f"http://127.0.0.1:{port}/v1"
    emit(OTLPMetricExporter(f"{to}/metrics"), OTLPLogExporter(f"{to}/logs"), OTLPSpanExporter(f"{to}/traces"))
    return ended


@way
@pytest.mark.parametrize("encoding", ["collector", "collector-json"])
def test_the_opentelemetry_collector_all_three_signals(
    worker: Fed, collector: Ended, encoding: str, way: str
) -> None:
    """Its Kafka exporter, in both encodings."""
    all_signals(worker, worker.topic(encoding, way), collector)


def test_nothing_of_theirs_is_refused(
    worker: Fed, kcat: None, collectd: object, rsyslog: object, sdk: None
) -> None:
    """Not one dead letter from any of these topics."""
    assert [(dead["topic"], dead["reason"], dead["detail"]) for dead in worker.dead_letters()] == []
