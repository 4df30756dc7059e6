"""OTLP into Kafka the way the OpenTelemetry Collector's Kafka exporter writes it.

One `MetricsData`, `LogsData` or `TracesData` batch is one record; there is no key, so a service's
batches spread over the partitions. A dead broker never blocks the service: batches wait in a bounded
queue, the oldest are dropped, and the drops are counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

METRICS_TOPIC = "otlp_metrics"
LOGS_TOPIC = "otlp_logs"
SPANS_TOPIC = "otlp_spans"

log = logging.getLogger(__name__)


class KafkaSender:
    """Sends encoded batches from a thread of its own.

    `send` is safe from any thread and returns at once. `muted` makes it swallow everything without
    a word, which is what the fault "silent dead exporter" is. At most `limit` batches wait.
    """

    def __init__(self, bootstrap: str, client_id: str, *, limit: int = 256) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._limit = limit
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="otlp-kafka", daemon=True)
        self.muted = False
        self.sent = 0
        self.dropped = 0

    def start(self) -> None:
        """Start the sending thread; the broker need not be up."""
        self._thread.start()

    def send(self, topic: str, value: bytes) -> None:
        """Queue one batch; never blocks, never raises."""
        if self.muted:
            return
        if len(self._waiting) >= self._limit:
            with contextlib.suppress(IndexError):
                self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((topic, value))
        self._notify()

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what waits, for at most `timeout_s` seconds, then give up."""
        self._closing.set()
        self._notify()
        self._thread.join(timeout_s)

    def _notify(self) -> None:
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(wake.set)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        producer = await self._connect()
        if producer is None:
            return
        try:
            while not (self._closing.is_set() and not self._waiting):
                self._wake.clear()
                if not self._waiting:
                    await self._pause(1.0)
                    continue
                await self._send_one(producer, *self._waiting.popleft())
        finally:
            await producer.stop()

    async def _send_one(self, producer: AIOKafkaProducer, topic: str, value: bytes) -> None:
        try:
            await producer.send_and_wait(topic, value)
            self.sent += 1
        except KafkaError as error:
            self.dropped += 1
            log.warning("dropped one batch for %s: %s", topic, error)

    async def _connect(self) -> AIOKafkaProducer | None:
        while not self._closing.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                acks=1,
                request_timeout_ms=5_000,
                max_request_size=4_000_000,
            )
            try:
                await producer.start()
                return producer
            except KafkaError as error:
                log.warning("broker %s unreachable, trying again: %s", self._bootstrap, error)
                await producer.stop()
                await self._pause(1.0)
        return None

    async def _pause(self, seconds: float) -> None:
        assert self._wake is not None  # noqa: S101 - set before the first await of the thread
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)


class KafkaMetricExporter(MetricExporter):
    """Metric batches to `otlp_metrics`."""

    def __init__(self, sender: KafkaSender) -> None:
        super().__init__()
        self._sender = sender

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Encode and queue; success means queued."""
        if metrics_data.resource_metrics:
            self._sender.send(METRICS_TOPIC, encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """The sender is closed by its owner."""


class KafkaLogExporter(LogRecordExporter):
    """Log batches to `otlp_logs`."""

    def __init__(self, sender: KafkaSender) -> None:
        self._sender = sender

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Encode and queue; success means queued."""
        self._sender.send(LOGS_TOPIC, encode_logs(batch).SerializeToString())
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Nothing is held back here."""
        return True

    def shutdown(self) -> None:
        """The sender is closed by its owner."""


class KafkaSpanExporter(SpanExporter):
    """Span batches to `otlp_spans`."""

    def __init__(self, sender: KafkaSender) -> None:
        self._sender = sender

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode and queue; success means queued."""
        self._sender.send(SPANS_TOPIC, encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """The sender is closed by its owner."""
