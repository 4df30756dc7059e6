"""OpenTelemetry for one process of the shop: resource, providers, process metrics, log bridge."""

from __future__ import annotations

import logging
import socket
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from demo.otlp_kafka import KafkaLogExporter, KafkaMetricExporter, KafkaSender, KafkaSpanExporter

METRIC_INTERVAL_MS = 2_000
BATCH_DELAY_MS = 800
TRACE_RATIO = 0.2
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
ENVIRONMENT = "demo"


@dataclass(slots=True)
class Telemetry:
    """What a service writes to, and the way to close it."""

    tracer: Tracer
    meter: Meter
    logger: logging.Logger
    sender: KafkaSender
    _providers: tuple[TracerProvider, MeterProvider, LoggerProvider]

    def close(self) -> None:
        """Flush and stop, within about three seconds even when the broker is gone."""
        for provider in self._providers:
            provider.shutdown()
        self.sender.close()


def start(service: str, release: str, bootstrap: str) -> Telemetry:
    """Set up all three signals of `service` in version `release`, exporting to `bootstrap`."""
    resource = Resource(
        {
            "service.name": service,
            "service.instance.id": f"{service}-0",
            "service.version": release,
            "deployment.environment.name": ENVIRONMENT,
            "host.name": socket.gethostname(),
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
        }
    )
    sender = KafkaSender(bootstrap, client_id=service)
    sender.start()
    tracers = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(TRACE_RATIO)))
    tracers.add_span_processor(
        BatchSpanProcessor(KafkaSpanExporter(sender), schedule_delay_millis=BATCH_DELAY_MS)
    )
    reader = PeriodicExportingMetricReader(
        KafkaMetricExporter(sender), export_interval_millis=METRIC_INTERVAL_MS
    )
    meters = MeterProvider(metric_readers=[reader], resource=resource)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(
        BatchLogRecordProcessor(KafkaLogExporter(sender), schedule_delay_millis=BATCH_DELAY_MS)
    )
    logger = logging.getLogger(f"shop.{service}")
    logger.setLevel(logging.INFO)
    logger.addHandler(LogBridge(loggers))
    meter = meters.get_meter("demo.shop", release)
    observe_process(meter)
    return Telemetry(
        tracers.get_tracer("demo.shop", release), meter, logger, sender, (tracers, meters, loggers)
    )


class LogBridge(logging.Handler):
    """Turns standard `logging` records into OpenTelemetry log records of the current trace."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record with its exception, if any, as semantic-convention attributes."""
        attributes: dict[str, str | int] = {
            "code.file.path": record.pathname,
            "code.function.name": record.funcName or "",
            "code.line.number": record.lineno,
        }
        if record.exc_info and record.exc_info[0] is not None:
            attributes["exception.type"] = record.exc_info[0].__name__
            attributes["exception.message"] = str(record.exc_info[1])
            attributes["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=time.time_ns(),
                context=get_current(),
                severity_text=SEVERITY_TEXT.get(record.levelno, record.levelname),
                severity_number=SEVERITY.get(record.levelno, SeverityNumber.INFO),
                body=record.getMessage(),
                attributes=attributes,
            )
        )


SEVERITY = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}
SEVERITY_TEXT = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}


def observe_process(meter: Meter) -> None:
    """Register the process metrics: CPU seconds, CPU share of one core (0..1), resident bytes, threads."""
    process = psutil.Process()
    process.cpu_percent()  # the first call only sets the mark that later calls measure from

    def cpu_time(_: CallbackOptions) -> Iterable[Observation]:
        times = process.cpu_times()
        yield Observation(times.user, {"cpu.mode": "user"})
        yield Observation(times.system, {"cpu.mode": "system"})

    def cpu_utilization(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(process.cpu_percent() / 100)

    def memory(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(process.memory_info().rss)

    def threads(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(process.num_threads())

    meter.create_observable_counter("process.cpu.time", [cpu_time], "s", "CPU seconds by mode")
    meter.create_observable_gauge("process.cpu.utilization", [cpu_utilization], "1", "Share of one core")
    meter.create_observable_up_down_counter("process.memory.usage", [memory], "By", "Resident memory")
    meter.create_observable_up_down_counter("process.thread.count", [threads], "{thread}", "Threads")
