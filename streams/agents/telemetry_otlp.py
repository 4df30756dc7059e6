# mypy: disable-error-code="import-not-found,import-untyped"
"""Export of the worker's metrics over OTLP/HTTP: the same families as on `/metrics`, pushed.

Off unless an endpoint is set; the OpenTelemetry packages are imported only then. What goes wrong here is
counted and logged once, and touches nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from streams.agents.telemetry import WorkerCollector, tocsin_version
from streams.agents.topics import StartError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

log = logging.getLogger(__name__)

METRICS_PATH = "/v1/metrics"
TIMEOUT_S = 5.0
_LOGGER = "opentelemetry.exporter.otlp.proto.http"


def metrics_url(endpoint: str) -> str:
    """The URL metrics are posted to: a bare address gets the path the protocol names."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(path=METRICS_PATH)) if parts.path in ("", "/") else endpoint


class OtlpExport:
    """Pushes the registry every `interval_s` to `endpoint`."""

    def __init__(
        self, endpoint: str, interval_s: float, registry: CollectorRegistry, collector: WorkerCollector
    ) -> None:
        """Raises StartError when the OpenTelemetry packages are missing."""
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError as error:
            raise StartError(
                f"telemetry.otlp_endpoint is set but {error.name} is not installed: "
                "pip install 'tocsin[otlp]', or leave it empty"
            ) from error
        for name in (_LOGGER, f"{_LOGGER}.metric_exporter"):  # it logs each failure itself
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.url = metrics_url(endpoint)
        self._exporter = OTLPMetricExporter(endpoint=self.url, timeout=TIMEOUT_S)
        self._interval_s = interval_s
        self._registry = registry
        self._collector = collector
        self._started_ns = time.time_ns()
        self._failing = False

    async def run(self) -> None:
        """Export until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.export()

    async def export(self) -> bool:
        """One export; False, counted, when it failed."""
        try:
            # Counters are read here, on the loop that writes them; only the sending is elsewhere.
            data = otlp_data(self._registry, self._started_ns, time.time_ns())
            done = bool((await asyncio.to_thread(self._exporter.export, data)).name == "SUCCESS")
            reason = "" if done else "no success"
        except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline goes on
            done, reason = False, repr(error)
        self._collector.exports["done" if done else "failed"] += 1
        if not done and not self._failing:
            log.warning(
                "cannot export metrics to %s, going on without",
                self.url,
                extra={"reason": reason, "counted_in": "tocsin_otlp_exports_total"},
            )
        elif done and self._failing:
            log.warning("metrics are exported to %s again", self.url)
        self._failing = not done
        return done

    async def stop(self) -> None:
        """What was counted since the last export goes out, unless the other side is away."""
        if not self._failing:
            await self.export()
        self._exporter.shutdown()


def otlp_data(registry: CollectorRegistry, started_ns: int, now_ns: int) -> MetricsData:
    """The registry's families in OpenTelemetry's types: counters as sums, buckets by explicit bounds."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    resource = Resource(
        {
            "service.name": "tocsin",
            "service.version": tocsin_version(),
            "service.instance.id": socket.gethostname(),
        }
    )
    metrics = [
        converted
        for family in registry.collect()
        if family.samples and (converted := _metric(family, started_ns, now_ns)) is not None
    ]
    scope = ScopeMetrics(InstrumentationScope("tocsin", tocsin_version()), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Metric, started_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics import export as otel

    name = family.name
    data: Any
    if family.type == "histogram":
        data = otel.Histogram(_histograms(family, started_ns, now_ns), otel.AggregationTemporality.CUMULATIVE)
    else:
        points = [
            otel.NumberDataPoint(sample.labels, started_ns, now_ns, float(sample.value))
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
        if family.type == "counter":
            data = otel.Sum(points, otel.AggregationTemporality.CUMULATIVE, is_monotonic=True)
            name += "_total"  # one name for both ways out
        else:
            data = otel.Gauge(points)
    unit = "s" if family.name.endswith("_seconds") else "By" if family.name.endswith("_bytes") else ""
    return otel.Metric(name, family.documentation, unit, data)


def _histograms(family: Metric, started_ns: int, now_ns: int) -> list[Any]:
    from opentelemetry.sdk.metrics import export as otel

    upto: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = {k: v for k, v in sample.labels.items() if k != "le"}
        key = tuple(sorted(labels.items()))
        if sample.name.endswith("_bucket"):
            upto.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
    points = []
    for key, buckets in upto.items():
        counts = [
            int(after - before) for (_, before), (_, after) in itertools.pairwise([(0.0, 0.0), *buckets])
        ]
        bounds = [bound for bound, _ in buckets[:-1]]
        points.append(
            otel.HistogramDataPoint(
                dict(key), started_ns, now_ns, sum(counts), sums.get(key, 0.0), counts, bounds, 0.0, 0.0
            )
        )
    return points
